"""Bytes that are no message are the client's fault, on every method."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from wire_client import init, pipeline

from penstock.wire.methods import (
    CHECK_HEALTH,
    EXECUTE_PIPELINE,
    GET_VERSION,
    PLAN_PIPELINE,
    STREAM_PIPELINE,
    WATCH_HEALTH,
    Method,
)
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming

RUBBISH = b"\xff\xff\xff"


@pytest.mark.parametrize(
    "method", [EXECUTE_PIPELINE, GET_VERSION, PLAN_PIPELINE, CHECK_HEALTH, WATCH_HEALTH]
)
async def test_a_request_that_is_no_message(service: str, method: Method[Any, Any]) -> None:
    async with grpc.aio.insecure_channel(service) as channel:
        if method is WATCH_HEALTH:
            call = channel.unary_stream(method.path)(RUBBISH)
        else:
            call = channel.unary_unary(method.path)(RUBBISH)
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        wanted = method.request.DESCRIPTOR.full_name
        assert await call.details() == f"the bytes that came are no {wanted}"


async def test_a_message_of_millions_of_parts_is_none_either(service: str) -> None:
    many = b"\x78\x01" * (1 << 20)
    async with grpc.aio.insecure_channel(service) as channel:
        call = channel.unary_unary(EXECUTE_PIPELINE.path)(many)
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        streamed = channel.stream_stream(STREAM_PIPELINE.path)(iter([many]))
        answers = [streaming.StreamResponse.FromString(answer) async for answer in streamed]
    assert answers[-1].error.error_type == pb.ERROR_TYPE_VALIDATION
    assert "parts" in answers[-1].error.message
    assert "parts" in (await call.details() or "")


@pytest.mark.parametrize("first", [[], [init(pipeline("EchoNode")).SerializeToString()]])
async def test_a_streams_message_that_is_none(service: str, first: list[bytes]) -> None:
    async with grpc.aio.insecure_channel(service) as channel:
        call = channel.stream_stream(STREAM_PIPELINE.path)(iter([*first, RUBBISH]))
        answers = [streaming.StreamResponse.FromString(answer) async for answer in call]
        assert await call.code() is grpc.StatusCode.OK
    assert answers[-1].error.error_type == pb.ERROR_TYPE_VALIDATION
    assert answers[-1].error.message.endswith("are no remotemedia.v1.StreamRequest")
