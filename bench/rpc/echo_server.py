"""The floor: a ``grpc.aio`` server that sends each ``DataBuffer`` back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from bench.rpc.echo import SERVICE, STREAM, UNARY
from penstock.wire.v1.common_pb2 import DataBuffer

_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1))


async def echo(request: DataBuffer, _context: object) -> DataBuffer:
    return request


async def echo_stream(requests: AsyncIterator[DataBuffer], _: object) -> AsyncIterator[DataBuffer]:
    async for request in requests:
        yield request


async def main() -> None:
    """Serve until killed; says where on stdout, as Penstock's service does."""
    server = grpc.aio.server(options=_OPTIONS)
    codec = (DataBuffer.FromString, DataBuffer.SerializeToString)
    handlers: dict[str, grpc.RpcMethodHandler[DataBuffer, DataBuffer]] = {
        UNARY: grpc.unary_unary_rpc_method_handler(echo, *codec),
        STREAM: grpc.stream_stream_rpc_method_handler(echo_stream, *codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
