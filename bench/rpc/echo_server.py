"""The floor: a ``grpc.aio`` server that sends each ``DataBuffer`` back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from bench.rpc.echo import SERVICE, STREAM, UNARY
from bench.rpc.listening import serve
from penstock.wire.v1.common_pb2 import DataBuffer


async def echo(request: DataBuffer, _context: object) -> DataBuffer:
    return request


async def echo_stream(requests: AsyncIterator[DataBuffer], _: object) -> AsyncIterator[DataBuffer]:
    async for request in requests:
        yield request


async def main() -> None:
    """Serve until killed."""
    codec = (DataBuffer.FromString, DataBuffer.SerializeToString)
    handlers = {
        UNARY: grpc.unary_unary_rpc_method_handler(echo, *codec),
        STREAM: grpc.stream_stream_rpc_method_handler(echo_stream, *codec),
    }
    await serve({SERVICE: handlers}, ("grpc.max_receive_message_length", -1))


if __name__ == "__main__":
    asyncio.run(main())
