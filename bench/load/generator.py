"""Clients of many streams, in a process of their own: a chunk each 20 ms in, a result for each out.

It sends bytes that were made beforehand and parses nothing, so that it costs the same whatever it
talks to. How late a result is counts from when its chunk was due: what the generator itself is late
with is part of it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from time import perf_counter
from typing import Any

import grpc
import numpy as np

from bench.rpc.echo import SERVICE, STREAM
from bench.runner import percentile
from penstock.data import Audio
from penstock.manifest import parse_manifest
from penstock.wire.buffers import encode
from penstock.wire.manifests import encode_manifest
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.v1.streaming_pb2 import DataChunk, StreamInit, StreamRequest

CHUNK_S = 0.02
SAMPLE_RATE_HZ = 16_000
_GRACE_S = 1.0
"""How long results may still come after the last chunk; later ones are never too early."""
_RESULT = b"\x12"  # the tag of StreamResponse.result
_READY = b"\x0a"
_START_S = 60.0

NODES = {"echo": [], "native": ["PassThrough"], "processes": ["EchoNode"] * 3}
"""What is between a chunk and its result, by kind; for an echo it is no session at all."""


class Talk:
    """One stream."""

    def __init__(self, call: Any, chunk: bytes, prefix: bytes) -> None:
        self._call = call
        self._chunk = chunk
        self._prefix = prefix

    async def open(self, init: bytes) -> None:
        """Start the session, and wait until it is ready."""
        if init:
            await self._call.write(init)
            await self._until(_READY)

    async def late_s(self, first_due: float, count: int) -> list[float]:
        """How late each result came."""
        late: list[float] = []
        sending = asyncio.create_task(self._send(first_due, count))
        with suppress(TimeoutError):
            async with asyncio.timeout(first_due - perf_counter() + count * CHUNK_S + _GRACE_S):
                for number in range(count):
                    await self._until(self._prefix)
                    late.append(perf_counter() - (first_due + number * CHUNK_S))
        sending.cancel()
        await asyncio.wait([sending])
        return late + [_GRACE_S] * (count - len(late))

    def close(self) -> None:
        self._call.cancel()

    async def _send(self, first_due: float, count: int) -> None:
        for number in range(count):
            await asyncio.sleep(first_due + number * CHUNK_S - perf_counter())
            await self._call.write(self._chunk)

    async def _until(self, prefix: bytes) -> None:
        while (message := await self._call.read()) is not grpc.aio.EOF:
            if message.startswith(prefix):
                return
        raise ConnectionError("the stream has ended")


def _talks(channel: grpc.aio.Channel, kind: str, count: int) -> tuple[list[Talk], bytes]:
    """The streams, and what opens each."""
    samples = (np.arange(int(SAMPLE_RATE_HZ * CHUNK_S)) % 199).astype(np.int16)
    buffer = encode(Audio(samples, SAMPLE_RATE_HZ))
    if kind == "echo":
        method: Any = channel.stream_stream(f"/{SERVICE}/{STREAM}")
        return [Talk(method(), buffer.SerializeToString(), b"") for _ in range(count)], b""
    method = channel.stream_stream(STREAM_PIPELINE.path)
    chunk = StreamRequest(data_chunk=DataChunk(buffer=buffer)).SerializeToString()
    init = StreamRequest(init=StreamInit(manifest=encode_manifest(parse_manifest(_manifest(kind)))))
    return [Talk(method(), chunk, _RESULT) for _ in range(count)], init.SerializeToString()


def _manifest(kind: str) -> dict[str, Any]:
    names = [f"n{number}" for number in range(len(NODES[kind]))]
    return {
        "version": "v1",
        "metadata": {"name": kind, "multiprocess": {"max_message_bytes": 1 << 20}},
        "nodes": [
            {"id": name, "node_type": node_type}
            for name, node_type in zip(names, NODES[kind], strict=True)
        ],
        "connections": [{"from": source, "to": target} for source, target in pairwise(names)],
    }


async def late_ms(address: str, kind: str, streams: int, chunks: int) -> Sequence[float]:
    """How late the results of all streams came, in ms; their chunks are spread over the time."""
    async with grpc.aio.insecure_channel(address) as channel:
        talks, init = _talks(channel, kind, streams)
        async with asyncio.timeout(_START_S):
            for talk in talks:
                await talk.open(init)
        first = perf_counter() + CHUNK_S
        dues = [first + number * CHUNK_S / streams for number in range(streams)]
        each = await asyncio.gather(
            *(talk.late_s(due, chunks) for talk, due in zip(talks, dues, strict=True))
        )
        for talk in talks:
            talk.close()
    return [late * 1e3 for one in each for late in one[chunks // 4 :]]  # it is warm by then


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load.generator")
    parser.add_argument("kind", choices=list(NODES))
    parser.add_argument("address")
    parser.add_argument("streams", type=int)
    parser.add_argument("chunks", type=int)
    asked = parser.parse_args()
    late = asyncio.run(late_ms(asked.address, asked.kind, asked.streams, asked.chunks))
    print(percentile(late, 99))


if __name__ == "__main__":
    main()
