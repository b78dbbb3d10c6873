"""A reply that is interrupted on its way: how long results of it still come.

A node that answers each text without end, two processes that pass on, and a raw client of the
service, which reads all the time and keeps the inlet full.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import grpc

from penstock.data import Audio, ExecutorType, Text
from penstock.nodes import Node, node
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as pb

NODES = str(Path(__file__))
RATE_HZ = 16_000
SAMPLES = 320
"""20 ms."""


@node("EndlessReply", executor=ExecutorType.MULTIPROCESS)
class EndlessReply(Node):
    """Speaks on and on, as fast as it is taken; the rate says which turn it is of."""

    def process(self, item: Text) -> Iterator[Audio]:
        while True:
            samples = self.ctx.allocate((SAMPLES, 1), "<i2")
            samples[:] = 0
            yield Audio(samples, RATE_HZ + int(item.text))


class BargeIn:
    """One stream, interrupted again and again; results are counted by the turn they are of."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        codec = (STREAM_PIPELINE.request.SerializeToString, STREAM_PIPELINE.response.FromString)
        self._call: Any = channel.stream_stream(STREAM_PIPELINE.path, *codec)()
        self._turn = 0
        self._moved = asyncio.Event()
        self._results = 0
        self._last_ns: dict[int, int] = {}
        self._answered_ns: dict[int, int] = {}
        self._late = 0

    async def run(self, count: int) -> Sequence[float]:
        """From an interrupt to the last sample that is stale by it, in ms, so many times."""
        await self._call.write(pb.StreamRequest(init=pb.StreamInit(manifest=_manifest())))
        reading = asyncio.create_task(self._read())
        samples = []
        for turn in range(1, count + 1):
            await self._say(turn)
            samples.append(await self._interrupt(turn))
        self._call.cancel()
        await asyncio.wait([reading])
        assert not self._late, f"{self._late} results came after the answer"
        return samples

    async def _say(self, turn: int) -> None:
        """A text whose reply plays, and more behind it than the inlet holds."""
        self._turn, self._results = turn, 0
        self._moved.clear()
        for _ in range(50):
            buffer = common.DataBuffer(text=common.TextBuffer(text_data=str(turn).encode()))
            await self._call.write(pb.StreamRequest(data_chunk=pb.DataChunk(buffer=buffer)))
        await self._moved.wait()

    async def _interrupt(self, turn: int) -> float:
        self._moved.clear()
        command = pb.StreamControl.COMMAND_INTERRUPT
        started = perf_counter_ns()
        await self._call.write(pb.StreamRequest(control=pb.StreamControl(command=command)))
        await self._moved.wait()
        return max(self._last_ns[turn] - started, 0) / 1e6  # none may have come since

    async def _read(self) -> None:
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:
                self._note(response)
        except (asyncio.CancelledError, grpc.aio.AioRpcError):
            return

    def _note(self, response: pb.StreamResponse) -> None:
        match response.WhichOneof("response"):
            case "result":
                (buffer,) = response.result.data_outputs.values()
                turn = buffer.audio.sample_rate - RATE_HZ
                self._late += turn in self._answered_ns
                self._last_ns[turn] = perf_counter_ns()
                self._results += turn == self._turn
                if self._results == 100:  # everything is full by then
                    self._moved.set()
            case "interrupted":
                self._answered_ns[self._turn] = perf_counter_ns()
                self._moved.set()


def _manifest() -> execution.PipelineManifest:
    names = ("say", "reply", "hop", "speaker")
    types = ("PassThrough", "EndlessReply", "PassThrough", "PassThrough")
    overrides = {"hop": "multiprocess", "speaker": "multiprocess"}
    return execution.PipelineManifest(
        version="v1",
        metadata=execution.ManifestMetadata(
            name="barge-in",
            multiprocess=execution.MultiprocessConfig(executor_overrides=overrides),
        ),
        nodes=[
            execution.NodeManifest(id=name, node_type=kind)
            for name, kind in zip(names, types, strict=True)
        ],
        connections=[_connection(*ends) for ends in itertools.pairwise(names)],
    )


def _connection(source: str, target: str) -> execution.Connection:
    ends: Any = {"from": source, "to": target}
    return execution.Connection(**ends)
