"""The client for programs without an event loop, against a service in a process of its own."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from penstock.client import BlockingClient
from penstock.data import Binary, Tensor, Text
from penstock.errors import InvalidValueError, ServiceError, SessionClosedError, SessionError
from penstock.session import NodeProgress

ECHO = {
    "version": "v1",
    "metadata": {"name": "echo"},
    "nodes": [{"id": "echo", "node_type": "PassThrough"}],
}


@pytest.fixture
def client(address: str) -> Iterator[BlockingClient]:
    with BlockingClient(address) as opened:
        yield opened


def test_a_call(client: BlockingClient) -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert client.version().compatible
    assert client.plan(ECHO).nodes[0].node_id == "echo"
    outcome = client.execute(ECHO, {"echo": array})
    assert [output.value for output in outcome.outputs] == [Tensor(array)]


def test_a_stream_sends_and_reads_in_two_threads(client: BlockingClient) -> None:
    stages: list[str] = []
    with client.stream(ECHO, on_progress=lambda said: stages.append(said.stage)) as stream:
        assert stages[-1] == "ready"

        def send() -> None:
            for number in range(500):
                stream.send("echo", f"t{number}")
            stream.close()

        sender = threading.Thread(target=send)
        sender.start()
        texts = [output.value for output in stream.outputs(timeout_s=20)]
        sender.join()
        assert texts == [Text(f"t{number}") for number in range(500)]
        assert stream.reason == "completed"
        assert stream.final_metrics is not None


def test_what_stands_for_a_value(client: BlockingClient) -> None:
    with client.stream(ECHO) as stream:
        for given in ("a", b"b", np.zeros(3, np.int8), Text("c")):
            stream.send("echo", given)
        stream.close()
        values = [output.value for output in stream.outputs()]
        expected = [Text("a"), Binary.from_bytes(b"b"), Tensor(np.zeros(3, np.int8)), Text("c")]
        assert values == expected
    with client.stream(ECHO) as stream, pytest.raises(InvalidValueError, match="got int"):
        stream.send("echo", 7)  # type: ignore[arg-type]  # that is what is tried


def test_a_wait_has_its_limit_and_the_stream_goes_on(client: BlockingClient) -> None:
    with client.stream(ECHO) as stream:
        with pytest.raises(TimeoutError, match=r"not done within 0\.05 s \(timeout_s\)"):
            next(stream.outputs(timeout_s=0.05))
        stream.send("echo", "a")
        assert next(stream.outputs(timeout_s=20)).value == Text("a")


def test_a_whole_stream_has_its_limit(client: BlockingClient) -> None:
    with (
        pytest.raises(ServiceError) as caught,
        client.stream(ECHO, timeout_s=1.0) as stream,
    ):
        next(stream.outputs())  # it may pass before that, too
    assert caught.value.error_type == "DEADLINE_EXCEEDED"


def test_an_error_says_what_it_was_to_the_stream(client: BlockingClient) -> None:
    with client.stream(ECHO) as stream:
        stream.send("echo", "a", sequence=3)
        stream.send("echo", "b", sequence=5)
        with pytest.raises(ServiceError) as caught:
            list(stream.outputs())
    assert (caught.value.stream_error, caught.value.sequence) == ("INVALID_SEQUENCE", 5)


def test_interrupts(client: BlockingClient) -> None:
    with client.stream(ECHO) as stream:
        assert stream.interrupt("echo").sinks == ("echo",)


def test_after_its_end_it_says_so(address: str) -> None:
    client = BlockingClient(address)
    stream = client.stream(ECHO)
    client.close()
    client.close()
    with pytest.raises(SessionClosedError, match="closed"):
        client.version()
    with pytest.raises(SessionClosedError, match="closed"):
        stream.send("echo", "a")


@pytest.fixture
def unheard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is raised where nobody can hear of it, and printed."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    return told


def test_outputs_that_outlive_their_client_end_in_silence(address: str, unheard: list[Any]) -> None:
    with BlockingClient(address) as client, client.stream(ECHO) as stream:
        outputs = stream.outputs()
        stream.send("echo", np.zeros(100))
        value = weakref.ref(next(outputs).value)
    del outputs
    gc.collect()
    assert (unheard, value()) == ([], None)


def test_outputs_that_are_collected_on_the_clients_own_thread_end_in_silence(
    client: BlockingClient, unheard: list[Any]
) -> None:
    collected: list[int] = []
    with client.stream(ECHO, on_interrupt=lambda _said: collected.append(gc.collect())) as stream:
        cycle: list[Any] = [stream.outputs()]
        cycle.append(cycle)
        stream.send("echo", np.zeros(100))
        value = weakref.ref(next(cycle[0]).value)
        gc.disable()
        try:
            del cycle
            stream.interrupt()
        finally:
            gc.enable()
        stream.send("echo", "a")
        assert next(stream.outputs(timeout_s=20)).value == Text("a")
    assert (unheard, value(), len(collected)) == ([], None, 1)


def test_a_callback_that_calls_the_client_is_told_that_it_must_not(client: BlockingClient) -> None:
    def ask(_said: NodeProgress) -> None:
        client.version()

    stream = client.stream(ECHO, on_progress=ask)
    with pytest.raises(SessionError, match="callback must not call"), stream:
        pass


PROGRAM = """
import sys
from penstock.client import BlockingClient

with BlockingClient(sys.argv[1]) as client, client.stream({manifest!r}) as stream:
    with client.attach(stream.session_id) as attachment:
        tap = attachment.tap("echo")
        print("waiting", flush=True)
        for item in {items}:
            pass
"""


@pytest.mark.parametrize("items", ["stream.outputs()", "tap"])
def test_ctrl_c_ends_a_wait_and_the_program(address: str, items: str) -> None:
    program = [sys.executable, "-c", PROGRAM.format(manifest=ECHO, items=items), address]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "waiting\n"
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert run.returncode == -signal.SIGINT
