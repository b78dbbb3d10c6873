"""The well-behaved client: a real-time stream, and now and then a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np

from penstock.client import Client, Stream
from penstock.data import Audio

CHUNK_S = 0.02
_MANIFEST = {"version": "v1", "nodes": [{"id": "n", "node_type": "PassThrough"}]}
_VERSION = "/remotemedia.v1.PipelineExecutionService/GetVersion"


@dataclass(slots=True)
class Seen:
    """In ms: how long chunks took, and newcomers to their first answer; how many were refused."""

    chunks: list[float] = field(default_factory=list)
    newcomers: list[float] = field(default_factory=list)
    refused: int = 0


class Neighbour:
    """Sends a chunk of speech each 20 ms."""

    def __init__(self, stream: Stream, address: str) -> None:
        self._sent = 0
        self._stream = stream
        self._address = address
        self._outputs = stream.outputs()

    async def see(self, duration_s: float) -> Seen:
        """What the service is like for so long."""
        seen = Seen()
        sent: dict[int, float] = {}
        ticks = range(round(duration_s / CHUNK_S))

        async def receive() -> None:
            for _ in ticks:
                output = await anext(self._outputs)
                seen.chunks.append((time.perf_counter() - sent.pop(output.sequence)) * 1e3)

        async with asyncio.TaskGroup() as group:
            group.create_task(receive())
            group.create_task(self._newcomers(seen, duration_s))
            begin = time.perf_counter()
            for tick in ticks:
                await asyncio.sleep(max(begin + tick * CHUNK_S - time.perf_counter(), 0))
                sequence = self._sequence()
                sent[sequence] = time.perf_counter()
                await self._stream.send("n", _SPEECH, sequence=sequence)
        return seen

    def _sequence(self) -> int:
        self._sent += 1
        return self._sent

    async def _newcomers(self, seen: Seen, duration_s: float) -> None:
        """A new connection each second, to its first answer."""
        for _ in range(max(round(duration_s), 1)):
            begin = time.perf_counter()
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(self._address, options) as channel:
                while not await _answered(channel):
                    seen.refused += 1
            seen.newcomers.append((time.perf_counter() - begin) * 1e3)
            await asyncio.sleep(max(begin + 1 - time.perf_counter(), 0))


async def _answered(channel: grpc.aio.Channel) -> bool:
    try:
        await channel.unary_unary(_VERSION)(b"", wait_for_ready=True, timeout=30)
    except grpc.aio.AioRpcError:
        return False
    return True


_SPEECH = Audio(np.zeros(320, np.int16), 16_000)


@asynccontextmanager
async def neighbour(address: str) -> AsyncIterator[Neighbour]:
    async with Client(address) as client, client.stream(_MANIFEST) as stream:
        yield Neighbour(stream, address)
