"""``StreamPipeline``: what each message of a client does, and what each answer holds."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_status import rpc_status
from ledger import shows
from wire_client import (
    CANCEL,
    CLOSE,
    WireClient,
    chunk,
    converse,
    init,
    kinds,
    pipeline,
    rest,
    text,
)

from penstock.errors import SessionCancelledError
from penstock.wire.stream_errors import stream_error_type
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming

AUDIO = pb.AudioBuffer(samples=bytes(8), sample_rate=8000, channels=1, format=pb.AUDIO_FORMAT_I16)


def results(responses: list[streaming.StreamResponse]) -> list[streaming.ChunkResult]:
    return [response.result for response in responses if response.HasField("result")]


async def read_until(call: Any, name: str) -> streaming.StreamResponse:
    while (response := await call.read()) is not grpc.aio.EOF:
        if response.WhichOneof("response") == name:
            return response  # type: ignore[no-any-return]  # gRPC's own type
    raise AssertionError(f"the stream ended without {name}")


async def details(
    wire: WireClient, *requests: streaming.StreamRequest
) -> tuple[pb.ErrorResponse, streaming.StreamErrorResponse]:
    call = wire.stream(iter(requests))
    *_, last = [response async for response in call]
    status = await rpc_status.aio.from_call(call)
    assert status is not None
    told = streaming.StreamErrorResponse()
    assert status.details[0].Unpack(told)
    return last.error, told


@shows(
    "StreamRequest.init",
    "StreamRequest.data_chunk",
    "StreamRequest.control",
    "StreamInit.manifest",
    "StreamInit.data_inputs",
    "StreamInit.expected_chunk_size",
    "DataChunk.node_id",
    "DataChunk.buffer",
    "DataChunk.sequence",
    "DataChunk.timestamp_ms",
    "StreamControl.command",
    "Command.COMMAND_CLOSE",
    "StreamResponse.ready",
    "StreamResponse.result",
    "StreamResponse.closed",
    "StreamReady.session_id",
    "StreamReady.max_buffer_latency_ms",
    "ChunkResult.sequence",
    "ChunkResult.data_outputs",
    "ChunkResult.processing_time_ms",
    "ChunkResult.total_items_processed",
    "ChunkResult.part",
    "ChunkResult.timestamp_us",
    "StreamClosed.session_id",
    "StreamClosed.final_metrics",
    "StreamClosed.reason",
)
async def a_stream_to_its_end(wire: WireClient) -> None:
    begin = init(
        pipeline("flood_outputs", params={"times": 2}),
        data_inputs={"n0": text("first")},
        expected_chunk_size=320,
    )
    responses = await converse(wire, begin, chunk("x", sequence=7, timestamp_ms=5), CLOSE)
    told = results(responses)
    assert [(one.sequence, one.part, one.timestamp_us) for one in told] == [
        (0, 0, 0), (0, 1, 0), (7, 0, 5000), (7, 1, 5000),
    ]  # fmt: skip
    assert [one.data_outputs["n0"].text.text_data for one in told] == [b"first"] * 2 + [b"x"] * 2
    assert all(one.processing_time_ms > 0 for one in told)
    assert [one.total_items_processed for one in told][-1] == 2
    (ready,) = (one.ready for one in responses if one.HasField("ready"))
    closed = responses[-1].closed
    assert ready.session_id == closed.session_id != ""
    assert ready.max_buffer_latency_ms == 0, "how long a node takes is not known before"
    assert closed.reason == "completed"
    assert closed.final_metrics.node_metrics["n0"].items_processed == 2


@shows("StreamReady.recommended_chunk_size")
async def what_its_sources_work_on(wire: WireClient) -> None:
    """By what the node types declare; nothing is recommended where sources differ."""
    chunker = pipeline("AudioChunkerNode", params={"chunkSize": 320})
    two = pipeline("AudioChunkerNode")
    two.nodes.add(id="side", node_type="PassThrough")
    detector = pipeline("SileroVADNode", "PassThrough")
    for manifest, size in ((chunker, 320), (detector, 512), (two, 0), (pipeline("EchoNode"), 0)):
        call = wire.stream()
        await call.write(init(manifest))
        ready = (await read_until(call, "ready")).ready
        assert ready.recommended_chunk_size == size
        await call.write(CLOSE)
        await rest(call)


@shows("DataChunk.named_buffers")
async def a_chunk_for_several_sources(wire: WireClient) -> None:
    manifest = pipeline("PassThrough")
    manifest.nodes.add(id="side", node_type="PassThrough")
    named = streaming.DataChunk(named_buffers={"n0": text("a"), "side": text("b")}, sequence=3)
    request = streaming.StreamRequest(data_chunk=named)
    told = results(await converse(wire, init(manifest), request, CLOSE))
    got = {
        name: (one.sequence, b.text.text_data)
        for one in told
        for name, b in one.data_outputs.items()
    }
    assert got == {"n0": (3, b"a"), "side": (3, b"b")}  # fmt: skip


@shows(
    "StreamRequest.audio_chunk",
    "AudioChunk.node_id",
    "AudioChunk.buffer",
    "AudioChunk.sequence",
    "AudioChunk.timestamp_ms",
)
async def a_chunk_of_audio(wire: WireClient) -> None:
    sent = streaming.AudioChunk(node_id="n0", buffer=AUDIO, sequence=4, timestamp_ms=6)
    request = streaming.StreamRequest(audio_chunk=sent)
    (told,) = results(await converse(wire, init(pipeline("EchoNode")), request, CLOSE))
    assert told.data_outputs["n0"].audio.samples == AUDIO.samples
    assert (told.sequence, told.timestamp_us) == (4, 6000)


@shows("StreamInit.client_version")
async def a_client_of_another_version(wire: WireClient) -> None:
    (only,) = await converse(wire, init(pipeline("PassThrough"), client_version="v2"))
    assert only.error.error_type == pb.ERROR_TYPE_VERSION_MISMATCH


@shows("Command.COMMAND_CANCEL")
async def a_stream_that_is_cancelled(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("hang_in_process")))
    await read_until(call, "ready")
    await call.write(chunk("x"))
    await call.write(CANCEL)
    assert (await read_until(call, "closed")).closed.reason == "cancelled"


@shows("Command.COMMAND_UNSPECIFIED", "StreamResponse.error")
async def a_control_without_a_command(wire: WireClient) -> None:
    request = streaming.StreamRequest(control=streaming.StreamControl())
    *_, last = await converse(wire, init(pipeline("PassThrough")), request)
    assert last.error.error_type == pb.ERROR_TYPE_VALIDATION
    assert "command" in last.error.message


@shows(
    "Command.COMMAND_INTERRUPT",
    "StreamControl.node_id",
    "StreamResponse.interrupted",
    "Interrupted.node_id",
    "Interrupted.by",
    "Interrupted.epoch",
    "Interrupted.sinks",
)
async def a_stream_that_is_interrupted(wire: WireClient) -> None:
    control = streaming.StreamControl(
        command=streaming.StreamControl.COMMAND_INTERRUPT, node_id="n0"
    )
    call = wire.stream()
    await call.write(init(pipeline("PassThrough", "EchoNode")))
    await read_until(call, "ready")
    await call.write(streaming.StreamRequest(control=control))
    told = (await read_until(call, "interrupted")).interrupted
    assert (told.node_id, told.by, told.epoch) == ("n0", "", 1)
    assert list(told.sinks) == ["n1"]
    await call.write(CLOSE)
    assert kinds(await rest(call))[-1] == "closed"


@shows(
    "StreamResponse.progress",
    "NodeProgress.node_id",
    "NodeProgress.stage",
    "NodeProgress.fraction",
    "NodeProgress.message",
    "NodeProgress.elapsed_s",
)
async def how_far_a_node_is(wire: WireClient) -> None:
    responses = await converse(wire, init(pipeline("EchoNode")), CLOSE)
    told = [one.progress for one in responses if one.HasField("progress")]
    assert {one.node_id for one in told} == {"n0"}
    assert (told[0].stage, told[-1].stage) == ("starting", "ready")
    assert told[-1].fraction == 1
    assert told[-1].elapsed_s > 0
    assert all(isinstance(one.message, str) for one in told)


@shows(
    "StreamResponse.metrics",
    "StreamMetrics.session_id",
    "StreamMetrics.chunks_processed",
    "StreamMetrics.average_latency_ms",
    "StreamMetrics.total_items",
    "StreamMetrics.buffer_items",
    "StreamMetrics.chunks_dropped",
    "StreamMetrics.peak_memory_bytes",
    "StreamMetrics.data_type_breakdown",
    "StreamMetrics.cache_hits",
    "StreamMetrics.cache_misses",
    "StreamMetrics.cached_nodes_count",
    "StreamMetrics.cache_hit_rate",
)
async def what_is_measured_meanwhile(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("EchoNode")))
    session_id = (await read_until(call, "ready")).ready.session_id
    await call.write(chunk("x"))
    await read_until(call, "result")
    while not (metrics := (await read_until(call, "metrics")).metrics).total_items:
        continue
    assert metrics.session_id == session_id
    assert metrics.chunks_processed == metrics.total_items == 1
    assert metrics.average_latency_ms > 0
    assert metrics.peak_memory_bytes > 1 << 20
    assert dict(metrics.data_type_breakdown) == {"text": 1}
    assert (metrics.buffer_items, metrics.chunks_dropped) == (0, 0)
    cached = (metrics.cache_hits, metrics.cache_misses, metrics.cached_nodes_count)
    assert (*cached, metrics.cache_hit_rate) == (0, 0, 0, 0), "nothing is cached"
    await call.write(CLOSE)
    assert kinds(await rest(call))[-1] == "closed"


@shows(
    "StreamErrorResponse.base_error",
    "StreamErrorResponse.stream_error_type",
    "StreamErrorResponse.failing_sequence",
    "StreamErrorResponse.session_id",
    "StreamErrorType.STREAM_ERROR_INVALID_SEQUENCE",
)
async def a_gap_in_the_numbers(wire: WireClient) -> None:
    chunks = [chunk("x", sequence=1), chunk("x", sequence=3)]
    error, told = await details(wire, init(pipeline("EchoNode")), *chunks)
    assert told.stream_error_type == streaming.STREAM_ERROR_INVALID_SEQUENCE
    assert told.failing_sequence == 3
    assert len(told.session_id) == 32
    assert told.base_error.message == error.message
    assert told.base_error.error_type == error.error_type == pb.ERROR_TYPE_VALIDATION


@shows("StreamErrorType.STREAM_ERROR_INIT_REQUIRED")
async def a_stream_without_init(wire: WireClient) -> None:
    _, told = await details(wire, CLOSE)
    assert told.stream_error_type == streaming.STREAM_ERROR_INIT_REQUIRED


@shows("StreamErrorType.STREAM_ERROR_BUFFER_OVERFLOW")
async def a_chunk_that_is_too_large(wire: WireClient) -> None:
    begin = init(pipeline("EchoNode", max_message_bytes=2000))
    _, told = await details(wire, begin, chunk("x" * 3000))
    assert told.stream_error_type == streaming.STREAM_ERROR_BUFFER_OVERFLOW


@shows("StreamErrorType.STREAM_ERROR_TIMEOUT", "StreamInit.resource_limits")
async def a_stream_that_takes_too_long(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_timeout_ms=300)
    begin = init(pipeline("hang_in_process"), resource_limits=limits)
    error, told = await details(wire, begin, chunk("x"))
    assert told.stream_error_type == streaming.STREAM_ERROR_TIMEOUT
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT


@shows("StreamErrorType.STREAM_ERROR_EXECUTION", "StreamErrorType.STREAM_ERROR_UNSPECIFIED")
async def a_node_that_fails(wire: WireClient) -> None:
    _, told = await details(wire, init(pipeline("raise_in_process")), chunk("x"), CLOSE)
    assert told.stream_error_type == streaming.STREAM_ERROR_EXECUTION


@shows("StreamErrorType.STREAM_ERROR_CLIENT_DISCONNECT")
async def a_client_that_has_left(wire: WireClient) -> None:
    """Nobody is there to be told; the leak check looks for the session."""
    call = wire.stream()
    await call.write(init(pipeline("hang_in_process")))
    await read_until(call, "ready")
    call.cancel()
    left = SessionCancelledError("client disconnected")
    assert stream_error_type(left) == streaming.STREAM_ERROR_CLIENT_DISCONNECT
