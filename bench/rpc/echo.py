"""The bare echo as its client calls it."""

from __future__ import annotations

from typing import Any

import grpc

from penstock.wire.v1.common_pb2 import DataBuffer

SERVICE = "bench.Echo"
UNARY = "Unary"
STREAM = "Stream"


class Echo:
    """Sends one ``DataBuffer`` there and back, by a call of its own or on a stream."""

    def __init__(self, channel: grpc.aio.Channel, message: DataBuffer) -> None:
        codec = (DataBuffer.SerializeToString, DataBuffer.FromString)
        self._message = message
        self._unary: Any = channel.unary_unary(f"/{SERVICE}/{UNARY}", *codec)
        self._stream: Any = channel.stream_stream(f"/{SERVICE}/{STREAM}", *codec)()

    async def call(self) -> None:
        await self._unary(self._message)

    async def send(self) -> None:
        await self._stream.write(self._message)

    async def receive(self) -> None:
        await self._stream.read()
