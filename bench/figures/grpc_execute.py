"""What a session for a single call costs, beside a call that does nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns

import grpc

from bench.measurement import FLOOR, OURS, Case, Effort, Figure, Measure, Target, apart
from bench.rpc.echo import Echo
from bench.rpc.execution import ClientExecution, Execution, message
from bench.rpc.servers import ECHO, PENSTOCK, server
from penstock.client import Client


async def round_trips(call: Callable[[], Awaitable[None]], count: int) -> Sequence[float]:
    """The time of each of ``count`` calls in µs, one after the other."""
    samples = []
    for _ in range(count):
        started = perf_counter_ns()
        await call()
        samples.append((perf_counter_ns() - started) / 1000)
    return samples


@asynccontextmanager
async def _open(nbytes: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    with server(*PENSTOCK) as ours, server(*ECHO) as bare:
        async with (
            grpc.aio.insecure_channel(ours) as channel,
            grpc.aio.insecure_channel(bare) as bare_channel,
            Client(ours) as client,
        ):
            calls = {
                FLOOR: Echo(bare_channel, message(nbytes)).call,
                OURS: Execution(channel, nbytes).call,
                "penstock.client": ClientExecution(client, nbytes).call,
            }
            yield {name: partial(round_trips, call, count) for name, call in calls.items()}


def _cases(effort: Effort) -> list[Case]:
    return [
        Case("4 KB", partial(_open, 4096, effort.count(300)), (Target(2, FLOOR),)),
        Case("1 MB", partial(_open, 1 << 20, effort.count(100))),
    ]


GRPC_EXECUTE = Figure(
    "grpc_execute", "ExecutePipeline of a native pass-through: p50 / p99", "µs", apart(_cases)
)
