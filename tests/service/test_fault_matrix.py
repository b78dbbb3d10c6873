"""Every fault, at every moment where it can strike: what the client sees is what the page says.

A case is a row of ``docs/faults.md``. Each runs through a service with real hosts, supervisors
and node processes; while that goes on, everything of the session has to be gone.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from fault_page import GONE, NOTHING, PAGE, Seen, rows
from wire_client import CANCEL, CLOSE, WireClient, chunk, init, pipeline, text

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.testing import Process, ProcessTree
from penstock.testing.processes import process_of
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

PAUSING = Path(__file__).parent / "pausing.py"
EXECUTORS = {"both": ("native", "multiprocess")}
PATIENCE_S = 6.0
LOOKS = 3
"""Reports of metrics without a result that show that nothing comes."""


def node_cases() -> Iterator[Any]:
    for fault, executors, told in rows("nodes"):
        for executor in EXECUTORS.get(executors, (executors,)):
            yield pytest.param(fault, executor, told, id=f"{fault.replace('`', '')}-{executor}")


def kill_cases() -> Iterator[Any]:
    for victim, moment, told in rows("kills"):
        yield pytest.param(victim.removeprefix("the "), moment, told, id=f"{victim}-{moment}")


@pytest.fixture
def settings() -> Settings:
    """Without hosts that wait, so that nothing but the zygote is there at rest."""
    return Settings.model_validate({"service": {"spare_hosts": 0, "metrics_interval_secs": 0.1}})


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended("penstock.testing.faults", PAUSING)


@pytest.fixture
async def gone_afterwards(wire: WireClient) -> AsyncIterator[None]:
    """The session's processes end while the service goes on, which serves the next call."""
    LAUNCHER.warm_up()
    tree = ProcessTree(os.getpid())
    there = {process.pid for process in tree.look()}
    yield
    stays = {*there, LAUNCHER.pid}
    left = await asyncio.to_thread(tree.remaining, PATIENCE_S, lambda one: one.pid in stays)
    assert [str(one) for one in left] == []
    await serves(wire)


async def serves(wire: WireClient) -> None:
    request = execution.ExecuteRequest(
        manifest=pipeline("PassThrough", "EchoNode"), data_inputs={"n0": text("still there?")}
    )
    response = await wire.execute(request)
    assert response.result.data_outputs["n1"].text.text_data == b"still there?"


def faulty(
    fault: str, executor: str, params: str, *, deadline: bool = True
) -> streaming.StreamRequest:
    limits = {"init_timeout_secs": 1, **({"process_timeout_secs": 1} if deadline else {})}
    manifest = pipeline("PassThrough", fault, "EchoNode", **limits)
    manifest.metadata.multiprocess.executor_overrides["n1"] = executor
    manifest.nodes[1].params = params
    return init(manifest)


class Watcher:
    """Reads a call, and keeps what its client sees."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._outputs = 0
        self._looks = 0

    async def until(self, *names: str) -> streaming.StreamResponse | None:
        """The next message of these names; None at the end."""
        while (response := await self._call.read()) is not grpc.aio.EOF:
            name = response.WhichOneof("response")
            self._outputs += name == "result"
            self._looks += name == "metrics"
            if name in names:
                return response  # type: ignore[no-any-return]  # gRPC's own type
        return None

    async def end(self, *, cancels: bool) -> Seen:
        """How it ends; a client that ``cancels`` does so when nothing has come for long."""
        while (last := await self.until("error", "closed", "metrics")) is not None:
            match last.WhichOneof("response"):
                case "error":
                    return seen_error(last.error, self._outputs)
                case "closed":
                    return Seen(self._outputs, cancelled=last.closed.reason == "cancelled")
            if cancels and self._looks == LOOKS:
                await self._call.write(CANCEL)
        raise AssertionError("the stream ended without a last word")


def seen_error(error: pb.ErrorResponse, outputs: int) -> Seen:
    name = pb.ErrorType.Name(error.error_type).removeprefix("ERROR_TYPE_")
    return Seen(outputs, name, error.failing_node_id, error.message)


@pytest.mark.usefixtures("gone_afterwards")
@pytest.mark.parametrize(("fault", "executor", "told"), [*node_cases()])
async def test_a_node_that_misbehaves(
    wire: WireClient, fault: str, executor: str, told: str
) -> None:
    found = re.fullmatch(r"`(\w+)`(?: in (\w+))?( without a deadline)?", fault)
    assert found is not None
    call = wire.stream()
    params = f'{{"during": "{found[2]}"}}' if found[2] else ""
    await call.write(faulty(found[1], executor, params, deadline=not found[3]))
    for number in range(3):
        await call.write(chunk(f"t{number}"))
    await call.write(CLOSE)
    seen = await Watcher(call).end(cancels=told == NOTHING)
    assert seen.is_as(told), seen


def test_every_fault_is_in_the_matrix() -> None:
    """With every executor."""
    kit = Catalogue({}).extended("penstock.testing.faults").names()
    shown = {(re.split("`", fault)[1], executor) for fault, executor, _ in rows("nodes")}
    for name in kit:
        assert (name, "both") in shown or {(name, "native"), (name, "multiprocess")} <= shown


def test_the_tests_that_the_page_names_are_there() -> None:
    root = PAGE.parents[1]
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE.read_text(encoding="utf-8"))
    assert named
    assert not [path for path in named if not (root / path).exists()]


@pytest.fixture
async def told_pid(tmp_path: Path) -> AsyncIterator[tuple[Path, asyncio.Future[int]]]:
    """A FIFO, and what a node's process writes to it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    loop = asyncio.get_running_loop()
    pid = loop.create_future()

    def read() -> None:
        loop.remove_reader(fd)
        pid.set_result(int(os.read(fd, 64)))

    loop.add_reader(fd, read)
    yield path, pid
    loop.remove_reader(fd)
    os.close(fd)


def victim_of(name: str, node_pid: int) -> int:
    """The process that is to be killed; ``node_pid`` is that of ``n1``."""
    node = known(node_pid)
    if name == "node":
        return node.pid
    supervisor = known(node.parent)
    assert supervisor.name == "penstock-super"
    if name == "supervisor":
        return supervisor.pid
    if name == "zygote":
        return supervisor.parent
    [host] = ProcessTree(supervisor.pid).named("penstock-host")
    return host.pid


def known(pid: int) -> Process:
    found = process_of(pid)
    assert found is not None
    return found


@pytest.mark.usefixtures("gone_afterwards")
@pytest.mark.parametrize(("victim", "moment", "told"), [*kill_cases()])
async def test_a_process_that_is_killed(
    wire: WireClient,
    told_pid: tuple[Path, asyncio.Future[int]],
    victim: str,
    moment: str,
    told: str,
) -> None:
    fifo, pid = told_pid
    manifest = pipeline("PassThrough", "pauses", "EchoNode")
    manifest.nodes[1].params = f'{{"during": "{moment}", "tell": "{fifo}"}}'
    call = wire.stream()
    watcher = Watcher(call)
    await call.write(init(manifest))
    if moment == "ready":
        await watcher.until("ready")
    else:
        await send(call)
    node_pid = await pid
    if told == GONE:
        call.cancel()
        return
    os.kill(victim_of(victim, node_pid), signal.SIGKILL)
    if victim == "zygote":
        await send(call)
    seen = await watcher.end(cancels=False)
    assert seen.is_as(told), seen


async def send(call: Any) -> None:
    for number in range(3):
        await call.write(chunk(f"t{number}"))
    await call.write(CLOSE)
