"""The well-behaved client: a real-time stream, and each second a newcomer's first call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from penstock.wire.methods import GET_VERSION, STREAM_PIPELINE
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

CHUNK_S = 0.02
_SAMPLES = 320
_PATIENCE_S = 20.0
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(slots=True)
class Seen:
    """In ms: how long chunks took, and newcomers to their first answer; how many were refused."""

    chunks: list[float] = field(default_factory=list)
    newcomers: list[float] = field(default_factory=list)
    refused: int = 0


class Neighbour:
    """Sends a chunk of speech each 20 ms, and hears it again."""

    def __init__(self, call: Any, address: str, token: str) -> None:
        self._call = call
        self._address = address
        self._token = token
        self._sent = 0

    async def see(self, duration_s: float) -> Seen:
        """What the service is like for so long."""
        seen, sent = Seen(), dict[int, float]()
        ticks = round(duration_s / CHUNK_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear(ticks, sent, seen))
            group.create_task(self._newcomers(seen, duration_s))
            begin = time.perf_counter()
            for tick in range(ticks):
                await asyncio.sleep(max(begin + tick * CHUNK_S - time.perf_counter(), 0))
                self._sent += 1
                sent[self._sent] = time.perf_counter()
                await self._call.write(_chunk(self._sent))
        return seen

    async def _hear(self, count: int, sent: dict[int, float], seen: Seen) -> None:
        while len(seen.chunks) < count:
            response = await self._call.read()
            if response.HasField("error"):
                raise SystemExit(f"the service has failed its neighbour: {response.error}")
            if response.HasField("result"):
                took_s = time.perf_counter() - sent.pop(response.result.sequence)
                seen.chunks.append(took_s * 1e3)

    async def _newcomers(self, seen: Seen, duration_s: float) -> None:
        """One each second, until it is answered or the server has had far more than its time."""
        until = time.perf_counter() + duration_s + _PATIENCE_S
        for _ in range(max(round(duration_s), 1)):
            begin = time.perf_counter()
            async with grpc.aio.insecure_channel(self._address, _OWN_CONNECTION) as channel:
                while not await _answered(channel, self._token, until):
                    seen.refused += 1
                    if time.perf_counter() >= until:
                        break
            seen.newcomers.append((time.perf_counter() - begin) * 1e3)
            await asyncio.sleep(max(begin + 1 - time.perf_counter(), 0))


@asynccontextmanager
async def neighbour(address: str, token: str) -> AsyncIterator[Neighbour]:
    """One whose session is ready."""
    node = execution.NodeManifest(id="n", node_type="PassThrough")
    manifest = execution.PipelineManifest(version="v1", nodes=[node])
    async with grpc.aio.insecure_channel(address) as channel:
        method: Any = channel.stream_stream(
            STREAM_PIPELINE.path,
            request_serializer=streaming.StreamRequest.SerializeToString,
            response_deserializer=streaming.StreamResponse.FromString,
        )
        call = method(metadata=bearing(token))
        await call.write(streaming.StreamRequest(init=streaming.StreamInit(manifest=manifest)))
        while not (await call.read()).HasField("ready"):
            continue
        yield Neighbour(call, address, token)
        call.cancel()


def bearing(token: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {token}"),)


async def _answered(channel: grpc.aio.Channel, token: str, until: float) -> bool:
    version: Any = channel.unary_unary(GET_VERSION.path)
    left_s = until - time.perf_counter()
    try:
        await version(b"", metadata=bearing(token), wait_for_ready=True, timeout=left_s)
    except grpc.aio.AioRpcError:
        return False
    return True


def _chunk(sequence: int) -> streaming.StreamRequest:
    speech = common.AudioBuffer(
        samples=bytes(2 * _SAMPLES),
        sample_rate=16_000,
        channels=1,
        format=common.AUDIO_FORMAT_I16,
        num_samples=_SAMPLES,
    )
    chunk = streaming.AudioChunk(node_id="n", buffer=speech, sequence=sequence)
    return streaming.StreamRequest(audio_chunk=chunk)
