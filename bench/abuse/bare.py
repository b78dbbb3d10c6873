"""A bare ``grpc.aio`` server that answers what the neighbour asks, and does nothing beside that.

What abuse does to it is gRPC's part of what it does to a service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from penstock.wire.methods import GET_VERSION, STREAM_PIPELINE
from penstock.wire.v1 import streaming_pb2 as streaming

_OPTIONS = (("grpc.so_reuseport", 0),)


async def _version(_request: bytes, _context: object) -> bytes:
    return b""


async def _stream(
    requests: AsyncIterator[streaming.StreamRequest], _context: object
) -> AsyncIterator[streaming.StreamResponse]:
    async for request in requests:
        response = streaming.StreamResponse()
        if request.HasField("init"):
            response.ready.SetInParent()
        else:
            response.result.sequence = request.audio_chunk.sequence
            response.result.data_outputs["n"].audio.CopyFrom(request.audio_chunk.buffer)
        yield response


async def main() -> None:
    """Serve until killed; says where on stdout, as Penstock's service does."""
    server = grpc.aio.server(options=_OPTIONS)
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        GET_VERSION.path: grpc.unary_unary_rpc_method_handler(_version),
        STREAM_PIPELINE.path: grpc.stream_stream_rpc_method_handler(
            _stream,
            streaming.StreamRequest.FromString,
            streaming.StreamResponse.SerializeToString,
        ),
    }
    for path, handler in methods.items():
        service, _, method = path.strip("/").rpartition("/")
        one = grpc.method_handlers_generic_handler(service, {method: handler})
        server.add_generic_rpc_handlers((one,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
