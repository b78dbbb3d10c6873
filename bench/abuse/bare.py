"""A bare ``grpc.aio`` server that answers what the neighbour asks, and does nothing beside that.

What abuse does to it is gRPC's part of what it does to a service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from bench.rpc.listening import serve
from penstock.wire.methods import GET_VERSION, STREAM_PIPELINE
from penstock.wire.v1 import streaming_pb2 as streaming


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
    """Serve until killed."""
    stream = grpc.stream_stream_rpc_method_handler(
        _stream, streaming.StreamRequest.FromString, streaming.StreamResponse.SerializeToString
    )
    version: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_version)
    await serve(
        {
            GET_VERSION.service: {GET_VERSION.name: version},
            STREAM_PIPELINE.service: {STREAM_PIPELINE.name: stream},
        }
    )


if __name__ == "__main__":
    asyncio.run(main())
