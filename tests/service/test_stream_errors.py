"""What the status of a stream that failed says beside its ``ErrorResponse``."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from wire_client import CLOSE, WireClient, chunk, details, init, pipeline, rest

from penstock.errors import PenstockError, SessionCancelledError, StallError
from penstock.manifest import ConnectionSettings, ServiceSettings, Settings
from penstock.service.plans import Plans
from penstock.wire.stream_errors import status_details, stream_error_type
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming


async def failed(
    wire: WireClient, *requests: streaming.StreamRequest
) -> tuple[pb.ErrorResponse, streaming.StreamErrorResponse, str]:
    """The last response, which must be the error, the status details, and the session's ID."""
    call = wire.stream(iter(requests))
    responses = [response async for response in call]
    assert await call.code() is grpc.StatusCode.OK
    ready = [response.ready.session_id for response in responses if response.HasField("ready")]
    assert responses[-1].HasField("error"), responses[-1]
    return responses[-1].error, await details(call), "".join(ready)


ECHO = init(pipeline("EchoNode"))


@pytest.mark.parametrize(
    ("numbers", "failing"),
    [([1, 2, 4], 4), ([1, 2, 2], 2), ([0, 1, 3], 3), ([0, 0, 1], 1), ([1, 0], 0)],
    ids=["gap", "repeat", "gap from 0", "numbered late", "no longer numbered"],
)
async def test_gaps_and_repeats_end_the_stream_and_say_where(
    wire: WireClient, numbers: list[int], failing: int
) -> None:
    call = wire.stream()
    await call.write(ECHO)
    while not (ready := await call.read()).HasField("ready"):
        continue
    for number in numbers:
        await call.write(chunk("x", sequence=number))
    while not (response := await call.read()).HasField("error"):
        assert response is not grpc.aio.EOF
    assert response.error.error_type == pb.ERROR_TYPE_VALIDATION
    assert response.error.message.startswith("sequence: expected ")
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    told = await details(call)
    assert told.stream_error_type == streaming.STREAM_ERROR_INVALID_SEQUENCE
    assert told.failing_sequence == failing
    assert told.session_id == ready.ready.session_id
    assert told.base_error.message == response.error.message


async def test_audio_chunks_are_numbered_with_the_others(wire: WireClient) -> None:
    audio = pb.AudioBuffer(samples=bytes(8), sample_rate=8000, channels=1)
    second = streaming.StreamRequest(
        audio_chunk=streaming.AudioChunk(node_id="n0", buffer=audio, sequence=3)
    )
    error, told, _ = await failed(wire, ECHO, chunk("x", sequence=1), second)
    assert "expected 2, got 3" in error.message
    assert told.failing_sequence == 3


async def test_a_malformed_audio_chunk_says_where(wire: WireClient) -> None:
    bad = streaming.AudioChunk(node_id="n0", buffer=pb.AudioBuffer())
    error, _, _ = await failed(wire, ECHO, streaming.StreamRequest(audio_chunk=bad))
    assert error.message.startswith("audio_chunk.buffer: channels")


async def test_a_chunk_that_its_node_does_not_take_names_that(wire: WireClient) -> None:
    audio = pb.AudioBuffer(samples=bytes(8), sample_rate=8000, channels=1)
    request = streaming.StreamRequest(
        audio_chunk=streaming.AudioChunk(node_id="n0", buffer=audio, sequence=4)
    )
    error, told, _ = await failed(wire, init(pipeline("CommandReplyNode")), request)
    assert error.message == "node 'n0' accepts text, got audio"
    assert (error.failing_node_id, told.failing_sequence) == ("n0", 4)


async def test_a_chunk_after_close_is_named(wire: WireClient) -> None:
    error, told, _ = await failed(wire, ECHO, chunk("x", sequence=5), CLOSE, chunk("y", sequence=6))
    assert "after CLOSE" in error.message
    assert told.failing_sequence == 6


async def test_a_stream_without_init(wire: WireClient) -> None:
    error, told, _ = await failed(wire, chunk("x"))
    assert error.error_type == pb.ERROR_TYPE_VALIDATION
    assert told.stream_error_type == streaming.STREAM_ERROR_INIT_REQUIRED
    assert told.session_id == ""


async def test_a_malformed_chunk_is_named(wire: WireClient) -> None:
    bad = streaming.DataChunk(node_id="n0", buffer=pb.DataBuffer(audio=pb.AudioBuffer()))
    bad.sequence = 6
    request = streaming.StreamRequest(data_chunk=bad)
    error, told, _ = await failed(wire, ECHO, chunk("x", sequence=5), request)
    assert error.error_type == told.base_error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
    assert told.stream_error_type == streaming.STREAM_ERROR_EXECUTION
    assert told.failing_sequence == 6


async def test_a_node_that_fails_is_named_and_its_traceback_stays_on_the_stream(
    wire: WireClient,
) -> None:
    error, told, session_id = await failed(
        wire, init(pipeline("raise_in_process")), chunk("x"), CLOSE
    )
    assert "Traceback" in error.stack_trace
    assert told.stream_error_type == streaming.STREAM_ERROR_EXECUTION
    assert told.base_error.error_type == pb.ERROR_TYPE_NODE_EXECUTION
    assert told.base_error.failing_node_id == "n0"
    assert told.session_id == session_id != ""


async def test_what_takes_too_long(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_timeout_ms=300)
    _, told, _ = await failed(
        wire, init(pipeline("hang_in_process"), resource_limits=limits), chunk("x")
    )
    assert told.stream_error_type == streaming.STREAM_ERROR_TIMEOUT
    assert told.base_error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT


async def test_more_than_is_allowed(wire: WireClient) -> None:
    limits = pb.ResourceLimits(max_audio_samples=3)
    audio = pb.AudioBuffer(samples=bytes(16), sample_rate=8000, channels=1)
    request = streaming.StreamRequest(
        audio_chunk=streaming.AudioChunk(node_id="n0", buffer=audio, sequence=2)
    )
    _, told, _ = await failed(wire, init(pipeline("EchoNode"), resource_limits=limits), request)
    assert told.stream_error_type == streaming.STREAM_ERROR_BUFFER_OVERFLOW


async def test_a_chunk_larger_than_any_message_of_the_session(wire: WireClient) -> None:
    request = chunk("x" * 3000, sequence=9)
    error, told, _ = await failed(wire, init(pipeline("EchoNode", max_message_bytes=2000)), request)
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert "max_message_bytes" in error.message
    assert told.stream_error_type == streaming.STREAM_ERROR_BUFFER_OVERFLOW
    assert told.failing_sequence == 9


async def test_who_is_attached_hears_why_the_stream_failed(wire: WireClient) -> None:
    """It has not been cancelled: metrics of the service count it by that, too."""
    stream, attached = wire.stream(), wire.attach()
    await stream.write(ECHO)
    while not (ready := await stream.read()).HasField("ready"):
        continue
    hello = control.Hello(session_id=ready.ready.session_id)
    await attached.write(control.ControlFrame(hello=hello))
    assert (await attached.read()).HasField("attached")
    for number in (1, 3):
        await stream.write(chunk("x", sequence=number))
    closed = (await rest(attached))[-1].session_closed
    assert closed.reason == control.CLOSE_REASON_CODE_ERROR
    assert "expected 2, got 3" in str(closed)
    stream.cancel()


async def test_what_the_service_did_not_foresee_is_an_error_on_the_stream_too(
    wire: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client learns that the service failed, and nothing of its inside."""

    def broken(*_: object) -> None:
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(Plans, "plan", broken)
    call = wire.stream(iter([ECHO]))
    response = await call.read()
    assert response.error.error_type == pb.ERROR_TYPE_INTERNAL
    assert await call.code() is grpc.StatusCode.INTERNAL
    told = await details(call)
    assert "secret" not in str(response) + str(told) + await call.details()


def test_details_fit_into_trailing_metadata_whatever_the_error_says() -> None:
    ((_, packed),) = status_details(PenstockError("\N{ROCKET}" * 100_000), "s" * 32, 0, "")
    assert len(packed) < 4000


def test_what_nobody_is_left_to_be_told_and_a_stall_have_types_of_their_own() -> None:
    left = SessionCancelledError("client disconnected")
    assert stream_error_type(left) == streaming.STREAM_ERROR_CLIENT_DISCONNECT
    stall = StallError(["client", "a"], limit_s=1)
    assert stream_error_type(stall) == streaming.STREAM_ERROR_BUFFER_OVERFLOW


class TestImpatient:
    """With a service that ends sessions which are idle for a moment."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            service=ServiceSettings(
                session_idle_secs=0.2, connections=ConnectionSettings(first_message_secs=0.2)
            )
        )

    async def test_an_idle_stream(self, wire: WireClient) -> None:
        call = wire.stream()
        await call.write(ECHO)
        while not (response := await call.read()).HasField("error"):
            assert response is not grpc.aio.EOF
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        told = await details(call)
        assert told.stream_error_type == streaming.STREAM_ERROR_TIMEOUT
        assert await asyncio.wait_for(call.code(), 5) is grpc.StatusCode.OK

    async def test_a_stream_that_never_begins(self, wire: WireClient) -> None:
        call = wire.stream()
        with pytest.raises(grpc.aio.AioRpcError, match="first_message_secs") as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        told = await details(call)
        assert told.base_error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
        assert told.stream_error_type == streaming.STREAM_ERROR_TIMEOUT
        assert told.session_id == ""


@pytest.mark.parametrize("ahead", [0, 10], ids=["it reads", "it waits for room"])
async def test_who_still_writes_is_heard_out(
    wire: WireClient, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """A client that writes when its call has ended may lose the error; the call waits for it."""
    monkeypatch.setattr("penstock.service.streaming.HEAR_OUT_S", 20.0)
    call = wire.stream()
    starting = init(pipeline("hang_in_process", channel_capacity=1))
    starting.init.resource_limits.max_timeout_ms = 500
    await call.write(starting)
    for _ in range(ahead):  # more than is read ahead
        await call.write(chunk("x" * (1 << 19)))
    while not (response := await call.read()).HasField("error"):
        continue
    assert response.error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    for _ in range(20):
        await call.write(chunk("late"))
        await wire.version(execution.VersionRequest())
    assert not call.done()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK
