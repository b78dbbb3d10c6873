"""The asyncio client against the real service."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from attaching import chain

from penstock.client import Client, Stream
from penstock.data import Audio, Text
from penstock.errors import (
    InputError,
    InvalidValueError,
    ManifestError,
    ServiceError,
    SessionClosedError,
    SessionError,
)
from penstock.session import Interruption, NodeProgress, Output


async def texts(outputs: AsyncIterator[Output]) -> list[str]:
    found = [output.value async for output in outputs]
    return [value.text for value in found if isinstance(value, Text)]


async def test_version(client: Client) -> None:
    version = await client.version()
    assert version.protocol == "v1"
    assert version.compatible
    assert "EchoNode" in version.node_types


async def test_execute_gives_every_output_and_what_was_measured(client: Client) -> None:
    audio = Audio(np.arange(12, dtype=np.int16).reshape(-1, 2), 8_000, {"who": "anna"})
    manifest = chain("flood_outputs", "PassThrough", params={"times": 3})
    outcome = await client.execute(manifest, {"n0": audio})
    assert [output.value for output in outcome.outputs] == [audio] * 3
    assert [output.part for output in outcome.outputs] == sorted(
        {output.part for output in outcome.outputs}
    )
    node = outcome.metrics.nodes["n0"]
    assert (node.items_processed, node.outputs) == (1, 3)
    assert node.reason
    assert {bridge.strategy for bridge in outcome.metrics.bridges} >= {"NativeToIPC"}
    assert outcome.metrics.items_by_kind == {"audio": 1}


async def test_what_native_nodes_take_of_their_host_counts(client: Client) -> None:
    outcome = await client.execute(chain("PassThrough"), {"n0": Text("x")})
    assert outcome.metrics.nodes["n0"].peak_memory_bytes == 0  # it has no process of its own
    assert outcome.metrics.cpu_time_s > 0
    assert outcome.metrics.peak_memory_bytes > 1 << 20


async def test_a_failing_node_raises_with_all_facts(client: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        await client.execute(chain("raise_in_process"), {"n0": Text("x")})
    error = caught.value
    assert (error.error_type, error.node_id) == ("NODE_EXECUTION", "n0")
    assert json.loads(error.context)["exception_type"] == "ValueError"
    assert "can't digest input 1" in error.traceback


async def test_what_is_no_manifest_or_value_is_not_even_sent(client: Client) -> None:
    with pytest.raises(ManifestError):
        client.stream({"version": "v1", "nodes": "none"})
    with pytest.raises(InputError):
        await client.execute(chain("PassThrough"), {"n0": Text("\ud800")})


async def test_inputs_that_are_no_single_value_are_named(client: Client) -> None:
    many: Any = {"n0": Text("x"), "hear": [Text("a"), Text("b")]}
    with pytest.raises(InvalidValueError, match=r"inputs\['hear'\]: .* one value.* list"):
        await client.execute(chain("PassThrough"), many)


async def test_a_time_limit_ends_the_call(client: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        await client.execute(chain("hang_in_process"), {"n0": Text("x")}, timeout_s=0.5)
    assert caught.value.error_type == "DEADLINE_EXCEEDED"
    said = "Deadline Exceeded: the call was not done within its timeout_s"
    assert str(caught.value) == said
    async with client.stream(chain("hang_in_process"), timeout_s=0.5) as stream:
        await stream.send("n0", Text("x"))
        with pytest.raises(ServiceError) as caught:
            await anext(stream.outputs())
    assert str(caught.value) == said


async def test_a_service_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
    async with Client(target) as client:
        with pytest.raises(ServiceError) as caught:
            await client.version()
        assert caught.value.error_type == "UNAVAILABLE"
        with pytest.raises(ServiceError):
            async with client.stream(chain("PassThrough")):
                pass


async def test_a_stream_from_progress_to_final_metrics(client: Client) -> None:
    told: list[NodeProgress] = []
    async with client.stream(chain("EchoNode", "PassThrough"), on_progress=told.append) as stream:
        assert {progress.node_id for progress in told} == {"n0", "n1"}
        assert stream.session_id
        for number in range(5):
            await stream.send("n0", Text(f"t{number}"), sequence=10 + number, timestamp_ms=number)
        await stream.close()
        outputs = [output async for output in stream.outputs()]
        with pytest.raises(SessionClosedError):
            await stream.send("n0", Text("late"))
    assert [output.sequence for output in outputs] == [10, 11, 12, 13, 14]
    assert [output.timestamp_us for output in outputs] == [0, 1000, 2000, 3000, 4000]
    assert [output.value for output in outputs] == [Text(f"t{number}") for number in range(5)]
    assert all(output.latency_s for output in outputs)
    assert stream.reason == "completed"
    assert stream.final_metrics is not None
    assert stream.final_metrics.nodes["n0"].items_processed == 5


async def test_more_than_fits_flows_with_two_tasks(client: Client) -> None:
    """24 MB through lanes of two messages: both sides have to wait for each other."""
    big = Text("x" * 200_000)
    async with client.stream(chain("EchoNode", "EchoNode", channel_capacity=2)) as stream:

        async def send_all() -> None:
            for _ in range(120):
                await stream.send("n0", big)
            await stream.close()

        sending = asyncio.create_task(send_all())
        received = [output.value == big async for output in stream.outputs()]
        await sending
    assert received == [True] * 120


async def test_a_sender_hears_why_the_stream_failed(client: Client) -> None:
    """Nobody reads ``outputs``: the sender itself has to be told."""
    async with client.stream(chain("raise_in_process")) as stream:

        async def send_until_it_fails() -> None:
            while True:
                await stream.send("n0", Text("x"))

        with pytest.raises(ServiceError, match="can't digest input 1"):
            await send_until_it_fails()
        with pytest.raises(ServiceError, match="can't digest input 1"):
            await stream.send("n0", Text("x"))


async def test_who_still_writes_when_the_session_dies_hears_why_all_the_same(
    client: Client,
) -> None:
    """A write that meets the end of its call makes gRPC forget what it has read."""
    manifest = chain("raise_in_process", params={"on": 500})
    for _ in range(10):
        with pytest.raises(ServiceError) as told:
            await write_on(client, manifest)
        assert (told.value.error_type, told.value.node_id) == ("NODE_EXECUTION", "n0")


async def write_on(client: Client, manifest: dict[str, Any]) -> None:
    async with client.stream(manifest) as stream:
        sending = asyncio.create_task(send_for_ever(stream))
        try:
            async for _ in stream.outputs():
                continue
        finally:
            sending.cancel()
            await asyncio.wait([sending])


async def send_for_ever(stream: Stream) -> None:
    while True:
        await stream.send("n0", Text("x"))


async def test_a_reader_hears_why_the_stream_failed(client: Client) -> None:
    async with client.stream(chain("exit_in_process", "PassThrough")) as stream:
        await stream.send("n0", Text("x"))
        with pytest.raises(ServiceError) as caught:
            await texts(stream.outputs())
    assert caught.value.node_id == "n0"
    assert json.loads(caught.value.context)["exit_code"] == 3


async def test_a_node_that_can_not_start_is_heard_on_entering(client: Client) -> None:
    told: list[NodeProgress] = []
    with pytest.raises(ServiceError, match="no model at this path"):
        async with client.stream(chain("raise_in_setup"), on_progress=told.append):
            pass
    assert told


async def test_cancel_ends_the_outputs(client: Client) -> None:
    async with client.stream(chain("hang_in_process")) as stream:
        await stream.send("n0", Text("x"))
        await stream.cancel()
        assert await texts(stream.outputs()) == []
    assert stream.reason == "cancelled"
    assert stream.final_metrics is not None


async def test_cancel_while_a_sender_waits_for_room(client: Client) -> None:
    big = Text("x" * 500_000)
    async with client.stream(chain("hang_in_process", channel_capacity=1)) as stream:

        async def send_all() -> None:
            while True:
                await stream.send("n0", big)

        sending = asyncio.create_task(send_all())
        _, pending = await asyncio.wait([sending], timeout=0.5)
        assert pending, "the sender should be waiting for room"
        await stream.cancel()
        assert await texts(stream.outputs()) == []
        with pytest.raises((SessionClosedError, asyncio.CancelledError)):
            await sending
    assert stream.reason == "cancelled"


async def test_inputs_without_a_number_are_counted_from_zero(client: Client) -> None:
    async with client.stream(chain("EchoNode")) as stream:
        for text in "abc":
            await stream.send("n0", text)
        await stream.close()
        assert [output.sequence async for output in stream.outputs()] == [0, 1, 2]


async def test_a_stream_is_used_in_its_block(client: Client) -> None:
    stream = client.stream(chain("EchoNode"))
    for attempt in (
        stream.send("n0", "x"),
        stream.close(),
        stream.cancel(),
        stream.interrupt(),
        anext(stream.outputs()),
    ):
        with pytest.raises(SessionError, match="the stream has not been opened"):
            await attempt


async def test_leaving_the_block_early_ends_the_session(client: Client) -> None:
    """The leak check looks for what the service would leave."""
    async with client.stream(chain("EchoNode")) as stream:
        await stream.send("n0", Text("x"))


async def test_who_reads_hears_that_the_block_was_left(client: Client) -> None:
    """It looked like the end of a stream that is complete."""
    async with client.stream(chain("EchoNode")) as stream:
        reading = asyncio.create_task(texts(stream.outputs()))
        await stream.send("n0", Text("x"))
        await asyncio.sleep(0)
    with pytest.raises(SessionClosedError, match="left before its end"):
        await reading


@pytest.mark.parametrize("wrong", [{"sequence": 2**64}, {"sequence": -1}, {"timestamp_ms": -1}])
async def test_what_is_no_number_is_refused_and_the_stream_goes_on(
    client: Client, wrong: dict[str, int]
) -> None:
    async with client.stream(chain("EchoNode")) as stream:
        with pytest.raises(InputError, match="can't be sent"):
            await stream.send("n0", "x", **wrong)
        await stream.send("n0", "x")
        await stream.close()
        assert len([output async for output in stream.outputs()]) == 1


async def test_leaving_the_block_with_results_unread_does_not_wait_for_a_reader(
    client: Client,
) -> None:
    manifest = chain("flood_outputs", params={"times": 100})
    async with client.stream(manifest) as stream:
        await stream.send("n0", Text("x"))
        async for _ in stream.outputs():
            break


async def test_a_reader_that_is_cancelled_is_cancelled(client: Client) -> None:
    async with client.stream(chain("EchoNode")) as stream:
        reading = asyncio.create_task(texts(stream.outputs()))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_calls_on_a_connection_that_is_given_up_are_told_so(client: Client) -> None:
    """They are neither left waiting nor cancelled along with it."""
    manifest = {"version": "v1", "nodes": [{"id": "n", "node_type": "never_read"}]}
    async with client.stream(manifest) as stream:
        await stream.send("n", Text("x"))
        executing = asyncio.create_task(client.execute(manifest, {"n": Text("x")}))
        reading = asyncio.create_task(anext(stream.outputs()))
        await asyncio.sleep(0)
        await client.aclose()
        for call in (reading, executing):
            with pytest.raises(ServiceError, match="given up") as told:
                await call
            assert told.value.error_type == "CANCELLED"
        with pytest.raises(ServiceError, match="given up"):
            await stream.send("n", Text("y"))


async def test_a_callback_that_raises_is_heard_by_who_reads_and_who_sends(client: Client) -> None:
    def refuse(_said: Interruption) -> None:
        raise ValueError("the loudspeaker is gone")

    async with client.stream(chain("EchoNode"), on_interrupt=refuse) as stream:
        await stream.interrupt()
        with pytest.raises(ValueError, match="loudspeaker"):
            await texts(stream.outputs())
        with pytest.raises(ValueError, match="loudspeaker"):
            await stream.send("n0", Text("x"))


async def test_a_send_that_is_given_up_ends_the_stream(client: Client) -> None:
    async with client.stream(chain("hang_in_process", channel_capacity=1)) as stream:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send_big_ones(stream), 0.5)
        with pytest.raises(ServiceError, match="given up"):
            await stream.send("n0", Text("x"))


async def send_big_ones(stream: Stream) -> None:
    while True:
        await stream.send("n0", Text("x" * 500_000))


async def test_a_closed_client_connects_no_more(address: str) -> None:
    manifest = chain("PassThrough")
    async with Client(address) as client:
        await client.version()
    with pytest.raises(SessionClosedError, match="the client is closed"):
        await client.version()
    with pytest.raises(SessionClosedError, match="the client is closed"):
        await client.execute(manifest, {"n0": Text("x")})
    for opened in (client.stream(manifest), client.attach("session")):
        with pytest.raises(SessionClosedError, match="the client is closed"):
            async with opened:
                pass


def test_a_client_belongs_to_one_event_loop(address: str) -> None:
    client = Client(address)
    with asyncio.Runner() as one, asyncio.Runner() as other:
        one.run(client.version())
        with pytest.raises(SessionError, match="belongs to another event loop"):
            other.run(client.version())
        one.run(client.aclose())
