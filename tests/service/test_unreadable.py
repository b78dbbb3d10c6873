"""What can't be read of a stream fails it like anything else: on the stream, and in the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

import grpc
import pytest
from wire_client import WireClient, chunk, details, init, pipeline

from bench.rpc.http2 import ACK, DATA, END_STREAM, HELLO, call, connected, frame
from penstock.client import Client
from penstock.errors import ServiceError
from penstock.manifest import Limits, Settings
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

MIB = 1 << 20


@pytest.fixture
def settings() -> Settings:
    return Settings(limits=Limits(max_message_bytes=MIB))


async def ended(call: Any) -> list[streaming.StreamResponse]:
    """All that came, of a stream that was too long for the service."""
    responses: list[streaming.StreamResponse] = []
    with contextlib.suppress(grpc.aio.AioRpcError):
        while (response := await call.read()) is not grpc.aio.EOF:
            responses.append(response)
    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return responses


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip], ids=["plain", "packed"])
async def test_a_chunk_that_is_longer_than_any_message_may_be(
    wire: WireClient, compression: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="penstock.service.call_log")
    stream = wire.stream(compression=compression)
    await stream.write(init(pipeline("PassThrough")))
    while not (response := await stream.read()).HasField("ready"):
        continue
    session_id = response.ready.session_id
    await stream.write(chunk("x" * (2 * MIB)))
    error = (await ended(stream))[-1].error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert error.message.startswith("Received message larger than max (")
    facts = json.loads(error.context)
    assert facts["resource"] == "max_message_bytes"
    assert MIB <= facts["limit"] < facts["wished"]
    told = await details(stream)
    assert told.stream_error_type == streaming.STREAM_ERROR_BUFFER_OVERFLOW
    assert told.session_id == session_id
    assert told.base_error.message == error.message == await stream.details()
    assert caplog.messages == [f"StreamPipeline (session {session_id}) failed: {error.message}"]


async def test_a_first_message_that_is(wire: WireClient) -> None:
    begin = init(
        pipeline("PassThrough"), data_inputs={"n0": chunk("x" * (2 * MIB)).data_chunk.buffer}
    )
    stream = wire.stream(iter([begin]))
    [response] = await ended(stream)
    assert response.error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert (await details(stream)).session_id == ""


async def test_our_client_knows_what_it_was_to_the_stream(service: str) -> None:
    """As for all streams that end with another status than OK."""
    manifest = {"version": "v1", "nodes": [{"id": "n0", "node_type": "PassThrough"}]}
    async with Client(service) as client, client.stream(manifest) as stream:
        await stream.send("n0", bytes(2 * MIB))
        with pytest.raises(ServiceError, match="larger than max") as caught:
            await anext(stream.outputs())
    assert caught.value.error_type == "RESOURCE_LIMIT"
    assert caught.value.stream_error == "BUFFER_OVERFLOW"


async def test_a_message_that_is_cut_off(service: str) -> None:
    async with connected(service) as (reader, writer):
        writer.write(HELLO + ACK + call(STREAM_PIPELINE.path.encode()))
        writer.write(frame(DATA, END_STREAM, 1, b"\0\0\0\0\7abc"))
        heard = b""
        async with asyncio.timeout(10):
            while b"grpc-status" not in heard:
                heard += await reader.read(1 << 16)
    said = b"the stream ended within a message"
    assert heard.count(said) >= 2, "in the error, and in the status"
    assert b"grpc-status\x013" in heard  # INVALID_ARGUMENT


async def test_a_frame_of_an_attachment_that_is_too_long(
    wire: WireClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="penstock.service.call_log")
    stream = wire.stream()
    await stream.write(init(pipeline("PassThrough")))
    while not (response := await stream.read()).HasField("ready"):
        continue
    session_id = response.ready.session_id
    attachment = wire.attach()
    await attachment.write(control.ControlFrame(hello=control.Hello(session_id=session_id)))
    assert (await attachment.read()).HasField("attached")
    value = chunk("x" * (2 * MIB)).data_chunk.buffer
    await attachment.write(control.ControlFrame(publish=control.Publish(data=value)))
    assert await attachment.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    said = await attachment.details()
    assert said.startswith("Received message larger than max (")
    assert caplog.messages == [f"Attach (session {session_id}) failed: {said}"]


async def test_a_request_that_is_too_long_is_logged(
    wire: WireClient, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = chunk("x" * (2 * MIB)).data_chunk.buffer
    request = execution.ExecuteRequest(manifest=pipeline("PassThrough"), data_inputs={"n0": buffer})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.execute(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caplog.messages == [f"ExecutePipeline failed: {caught.value.details()}"]
