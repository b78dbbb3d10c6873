"""What a chunk's way through a running session costs, beside a stream that only echoes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns
from typing import Protocol, TypeAlias

import grpc

from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.rpc.conversation import conversation
from bench.rpc.echo import Echo
from bench.rpc.execution import message
from bench.rpc.servers import ECHO, PENSTOCK, server


class TwoWay(Protocol):
    """A stream of messages that all come back, in order."""

    async def send(self) -> None: ...

    async def receive(self) -> None: ...


_Measured: TypeAlias = Callable[[TwoWay, int], Awaitable[Sequence[float]]]


async def round_trips(stream: TwoWay, count: int) -> Sequence[float]:
    """The time of each of ``count`` round trips in µs, one after the other."""
    samples = []
    for _ in range(count):
        started = perf_counter_ns()
        await stream.send()
        await stream.receive()
        samples.append((perf_counter_ns() - started) / 1000)
    return samples


async def rate(stream: TwoWay, count: int) -> Sequence[float]:
    """Messages a second there and back, with as many on their way as the stream takes."""
    started = perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        group.create_task(_send(stream, count))
        for _ in range(count):
            await stream.receive()
    return [count * 1e9 / (perf_counter_ns() - started)]


async def _send(stream: TwoWay, count: int) -> None:
    for _ in range(count):
        await stream.send()


@asynccontextmanager
async def _open(
    measured: _Measured, nbytes: int, count: int
) -> AsyncIterator[Mapping[str, Measure]]:
    with server(*PENSTOCK) as ours, server(*ECHO) as bare:
        async with (
            conversation(ours, nbytes) as ours_stream,
            grpc.aio.insecure_channel(bare) as channel,
        ):
            echo = Echo(channel, message(nbytes))
            yield {
                "floor": partial(measured, echo, count),
                OURS: partial(measured, ours_stream, count),
            }


def _round_trips(effort: Effort) -> list[Case]:
    return [
        Case("4 KB", partial(_open, round_trips, 4096, effort.count(400))),
        Case("1 MB", partial(_open, round_trips, 1 << 20, effort.count(100))),
    ]


def _rates(effort: Effort) -> list[Case]:
    return [
        Case(
            size,
            partial(_open, rate, nbytes, effort.count(count)),
            (Target(least, of="floor", at_least=True),),
            message_bytes=nbytes,
        )
        for size, nbytes, count, least in (
            ("4 KB", 4096, 6000, 0.6),
            ("1 MB", 1 << 20, 600, 0.85),
        )
    ]


GRPC_STREAM = Figure(
    "grpc_stream", "StreamPipeline, a chunk there and back: p50 / p99", "µs", apart(_round_trips)
)
GRPC_STREAM_RATE = Figure(
    "grpc_stream_rate", "StreamPipeline, throughput", "messages/s", apart(_rates)
)
