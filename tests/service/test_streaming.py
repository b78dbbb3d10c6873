"""``StreamPipeline`` on a real socket, as clients in other languages use it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import numpy as np
import pytest
from wire_client import (
    CANCEL,
    CLOSE,
    WireClient,
    chunk,
    converse,
    init,
    kinds,
    pipeline,
    text,
)

from penstock.manifest import ServiceSettings, Settings
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming


def results(responses: list[streaming.StreamResponse]) -> list[tuple[int, str, str]]:
    """Sequence, sink and text of every result."""
    return [
        (response.result.sequence, sink, buffer.text.text_data.decode())
        for response in responses
        if response.HasField("result")
        for sink, buffer in response.result.data_outputs.items()
    ]


async def read_until(call: Any, name: str) -> streaming.StreamResponse:
    while (response := await call.read()) is not grpc.aio.EOF:
        if response.WhichOneof("response") == name:
            return response  # type: ignore[no-any-return]  # gRPC's own type
    raise AssertionError(f"the stream ended without {name}")


@pytest.mark.parametrize("ending", [[CLOSE], []], ids=["close", "half-close"])
async def test_everything_is_delivered_before_closed(
    wire: WireClient, ending: list[streaming.StreamRequest]
) -> None:
    """A text-to-speech client sends init, one text and CLOSE at once."""
    chunks = [chunk(f"t{number}", sequence=10 + number) for number in range(200)]
    manifest = pipeline("EchoNode", "PassThrough")
    responses = await converse(wire, init(manifest), *chunks, *ending)
    assert results(responses) == [(10 + number, "n1", f"t{number}") for number in range(200)]
    names = kinds(responses)
    ready = names.index("ready")
    assert set(names[:ready]) == {"progress"}
    assert "progress" not in names[ready:]
    assert names[-1] == "closed"
    closed = responses[-1].closed
    assert closed.reason == "completed"
    assert closed.session_id == responses[ready].ready.session_id
    assert closed.final_metrics.node_metrics["n0"].items_processed == 200
    assert closed.final_metrics.wall_time_ms > 0


async def test_progress_tells_of_every_node(wire: WireClient) -> None:
    responses = await converse(wire, init(pipeline("EchoNode", "PassThrough")), CLOSE)
    told = [response.progress for response in responses if response.HasField("progress")]
    for node_id in ("n0", "n1"):
        stages = [progress.stage for progress in told if progress.node_id == node_id]
        assert stages[0] == "starting"
        assert stages[-1] == "ready"


async def test_results_carry_measured_times_and_parts(wire: WireClient) -> None:
    manifest = pipeline("flood_outputs", params={"times": 3})
    responses = await converse(wire, init(manifest), chunk("a", sequence=7, timestamp_ms=5), CLOSE)
    told = [response.result for response in responses if response.HasField("result")]
    assert [(result.sequence, result.part) for result in told] == [(7, 0), (7, 1), (7, 2)]
    assert all(result.processing_time_ms > 0 for result in told)
    assert all(result.total_items_processed == 1 for result in told)
    assert all(result.timestamp_us == 5000 for result in told)


async def test_chunks_without_numbers_are_served_in_order(wire: WireClient) -> None:
    chunks = [chunk(f"t{number}") for number in range(20)]
    responses = await converse(wire, init(pipeline("EchoNode")), *chunks, CLOSE)
    assert [said for _, _, said in results(responses)] == [f"t{n}" for n in range(20)]
    assert [sequence for sequence, _, _ in results(responses)] == list(range(20))


async def test_the_only_source_needs_no_name(wire: WireClient) -> None:
    responses = await converse(wire, init(pipeline("PassThrough")), chunk("x", node_id=""), CLOSE)
    assert results(responses) == [(0, "n0", "x")]


async def test_inputs_may_come_with_init_and_in_named_buffers(wire: WireClient) -> None:
    manifest = pipeline("PassThrough")
    manifest.nodes.add(id="side", node_type="PassThrough")
    named = streaming.DataChunk(named_buffers={"n0": text("b"), "side": text("c")}, sequence=4)
    responses = await converse(
        wire,
        init(manifest, data_inputs={"n0": text("a")}),
        streaming.StreamRequest(data_chunk=named),
        CLOSE,
    )
    assert sorted(results(responses)) == [(0, "n0", "a"), (4, "n0", "b"), (4, "side", "c")]


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(pb.AUDIO_FORMAT_F32, "<f4"), (pb.AUDIO_FORMAT_I16, "<i2"), (pb.AUDIO_FORMAT_I32, "<i4")],
)
async def test_audio_chunks_keep_their_sample_type(
    wire: WireClient, number: Any, dtype: str
) -> None:
    audio = pb.AudioBuffer(
        samples=np.arange(-8, 8).astype(dtype).tobytes(),
        sample_rate=16_000,
        channels=1,
        format=number,
        num_samples=16,
    )
    sent = streaming.AudioChunk(node_id="n0", buffer=audio, sequence=3)
    responses = await converse(
        wire, init(pipeline("EchoNode")), streaming.StreamRequest(audio_chunk=sent), CLOSE
    )
    (result,) = (response.result for response in responses if response.HasField("result"))
    assert result.sequence == 3
    assert result.data_outputs["n0"].audio == audio


async def test_cancel_stops_at_once(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("hang_in_process")))
    await read_until(call, "ready")
    await call.write(chunk("never comes back"))
    await call.write(CANCEL)
    closed = (await read_until(call, "closed")).closed
    assert closed.reason == "cancelled"
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_cancel_is_heard_behind_chunks_that_nobody_takes(wire: WireClient) -> None:
    """The inlet is full after one message, so that the chunks wait before it.

    As many as a client that sends 20 ms of speech at a time is ahead in 10 s.
    """
    call = wire.stream()
    await call.write(init(pipeline("hang_in_process", channel_capacity=1)))
    await read_until(call, "ready")
    for number in range(500):
        await call.write(chunk(f"t{number}".ljust(640)))
    await call.write(CANCEL)
    assert (await read_until(call, "closed")).closed.reason == "cancelled"


async def test_cancel_while_nodes_start(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("hang_in_setup")))
    await read_until(call, "progress")
    await call.write(CANCEL)
    assert (await read_until(call, "closed")).closed.reason == "cancelled"


@pytest.mark.parametrize("types", [("hang_in_process",), ("hang_in_setup",), ("EchoNode",)])
async def test_a_client_that_vanishes_ends_its_session(
    wire: WireClient, types: tuple[str, ...]
) -> None:
    """The leak check looks for the session and its processes."""
    call = wire.stream()
    await call.write(init(pipeline(*types)))
    await read_until(call, "progress")
    await call.write(chunk("x"))
    call.cancel()


async def test_a_client_that_reads_nothing_is_not_read_without_end(wire: WireClient) -> None:
    """Results back up to the client's writes; once it reads, everything comes."""
    count, big = 120, "x" * 200_000
    call = wire.stream()
    await call.write(init(pipeline("EchoNode", channel_capacity=2)))
    await read_until(call, "ready")
    written = 0

    async def write_all() -> None:
        nonlocal written
        for _ in range(count):
            await call.write(chunk(big))
            written += 1
        await call.done_writing()

    writing = asyncio.create_task(write_all())
    first = await read_until(call, "result")
    assert first.result.sequence == 0
    assert written < count, "the service took 24 MB that it had no room for"
    received = 1
    while (response := await call.read()) is not grpc.aio.EOF:
        received += response.HasField("result")
    await writing
    assert received == count


REFUSED: dict[str, tuple[list[streaming.StreamRequest], str]] = {
    "no init": ([chunk("x")], "must be init, got data_chunk"),
    "nothing": ([], "must be init, got nothing"),
    "two inits": ([init(pipeline("EchoNode"))] * 2, "got init"),
    "an empty request": ([init(pipeline("EchoNode")), streaming.StreamRequest()], "got nothing"),
    "a chunk after CLOSE": ([init(pipeline("EchoNode")), CLOSE, chunk("x")], "after CLOSE"),
    "no command": (
        [init(pipeline("EchoNode")), streaming.StreamRequest(control=streaming.StreamControl())],
        "expected CLOSE, CANCEL or INTERRUPT",
    ),
    "an unknown node": ([init(pipeline("EchoNode")), chunk("x", "n9")], "'n9'"),
    "a time without end": (
        [init(pipeline("EchoNode")), chunk("x", timestamp_ms=2**64 - 1)],
        "timestamp_ms",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_breaks_the_protocol_ends_the_stream_with_an_error(
    wire: WireClient, name: str
) -> None:
    requests, reason = REFUSED[name]
    responses = await converse(wire, *requests)
    assert kinds(responses)[-1] == "error"
    assert "closed" not in kinds(responses)
    error = responses[-1].error
    assert error.error_type == pb.ERROR_TYPE_VALIDATION
    assert reason in error.message


async def test_a_malformed_chunk_says_where(wire: WireClient) -> None:
    bad = streaming.DataChunk(node_id="n0", buffer=pb.DataBuffer(audio=pb.AudioBuffer()))
    responses = await converse(
        wire, init(pipeline("EchoNode")), streaming.StreamRequest(data_chunk=bad)
    )
    assert responses[-1].error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
    assert responses[-1].error.message.startswith("data_chunk.buffer.audio: channels")


async def test_a_faulty_manifest_is_refused_before_anything_starts(wire: WireClient) -> None:
    responses = await converse(wire, init(pipeline("PassTrough")))
    assert kinds(responses) == ["error"]
    (fault,) = json.loads(responses[0].error.context)["faults"]
    assert fault["path"] == "nodes[0].node_type"


@pytest.mark.parametrize(
    ("types", "fact", "value"),
    [
        (("raise_in_process",), "exception_message", "can't digest input 1"),
        (("raise_in_flush",), "during", "flush"),
        (("exit_in_process",), "exit_code", 3),
        (("segfault_in_process",), "signal", "SIGSEGV"),
        (("raise_in_setup",), "during", "setup"),
    ],
)
async def test_a_failing_node_is_named_with_its_cause(
    wire: WireClient, types: tuple[str, ...], fact: str, value: Any
) -> None:
    responses = await converse(wire, init(pipeline(*types, "PassThrough")), chunk("x"), CLOSE)
    error = responses[-1].error
    assert error.error_type == pb.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "n0"
    assert json.loads(error.context)[fact] == value


@pytest.mark.parametrize(
    ("node_type", "limit_ms"), [("EchoNode", 200), ("hang_in_process", 200), ("hang_in_setup", 500)]
)
async def test_a_streams_own_time_limit_holds(
    wire: WireClient, node_type: str, limit_ms: int
) -> None:
    """Nodes that are never ready would have 30 s otherwise: the test's own limit."""
    limits = pb.ResourceLimits(max_timeout_ms=limit_ms)
    call = wire.stream()
    await call.write(init(pipeline(node_type), resource_limits=limits))
    await call.write(chunk("x"))
    error = (await read_until(call, "error")).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert json.loads(error.context)["limit"] == limit_ms


class TestQuickMetrics:
    """With metrics fifty times a second."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(service=ServiceSettings(metrics_interval_secs=0.02))

    async def test_metrics_come_at_a_steady_pace(self, wire: WireClient) -> None:
        call = wire.stream()
        await call.write(init(pipeline("EchoNode")))
        session_id = (await read_until(call, "ready")).ready.session_id
        assert (await read_until(call, "metrics")).metrics.chunks_processed == 0
        await call.write(chunk("x"))
        await read_until(call, "result")
        metrics = (await read_until(call, "metrics")).metrics
        assert metrics.session_id == session_id
        assert metrics.chunks_processed == 1
        assert metrics.average_latency_ms > 0
        assert dict(metrics.data_type_breakdown) == {"text": 1}
        await call.write(CLOSE)
        await read_until(call, "closed")


class TestLateMetrics:
    """With metrics only at the end."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(service=ServiceSettings(metrics_interval_secs=3600))

    async def test_nodes_that_are_cancelled_have_told_their_last(self, wire: WireClient) -> None:
        call = wire.stream()
        await call.write(init(pipeline("EchoNode", "PassThrough")))
        await call.write(chunk("x"))
        await read_until(call, "result")
        await call.write(CANCEL)
        nodes = (await read_until(call, "closed")).closed.final_metrics.node_metrics
        assert {name: one.items_processed for name, one in nodes.items()} == {"n0": 1, "n1": 1}
        assert nodes["n0"].outputs == 1
        assert nodes["n0"].cpu_time_ms > 0


async def test_sessions_do_not_see_each_other(wire: WireClient) -> None:
    manifest = pipeline("EchoNode")
    talks = (
        converse(wire, init(manifest), *(chunk(f"{name}{n}") for n in range(20)), CLOSE)
        for name in "abc"
    )
    for name, responses in zip("abc", await asyncio.gather(*talks), strict=True):
        assert [said for _, _, said in results(responses)] == [f"{name}{n}" for n in range(20)]


async def test_a_failing_session_leaves_the_others_alone(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("EchoNode")))
    await read_until(call, "ready")
    failed = await converse(wire, init(pipeline("segfault_in_process")), chunk("x"))
    assert failed[-1].HasField("error")
    await call.write(chunk("still here"))
    assert results([await read_until(call, "result")]) == [(0, "n0", "still here")]
    await call.write(CLOSE)
    await read_until(call, "closed")


async def test_what_a_failure_leaves_undelivered_is_told_before_it(wire: WireClient) -> None:
    manifest = pipeline("PassThrough", "hang_in_process", process_timeout_secs=0.3)
    inputs = [chunk(str(number)) for number in range(9)]
    *_, metrics, error = await converse(wire, init(manifest), *inputs)
    assert error.error.failing_node_id == "n1"
    assert 1 <= metrics.metrics.buffer_items <= 9
