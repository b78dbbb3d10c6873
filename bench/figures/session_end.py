"""How long the end takes: of a session that ended well, and of all when the service is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns

from bench.figures.session_start import manifest
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.rpc.servers import PENSTOCK, server, server_process
from penstock.client import Client
from penstock.errors import ServiceError
from penstock.session import Session
from penstock.testing.tree import ProcessTree

_END_MS = 500
_GONE_MS = 1000
_PATIENCE_S = 30.0


async def service_ends(address: str, processes: int, count: int) -> Sequence[float]:
    """From a stream's CLOSE to its end, in ms."""
    samples = []
    async with Client(address) as client:
        for _ in range(count):
            async with client.stream(manifest(processes)) as stream:
                started = perf_counter_ns()
                await stream.close()
                async for _ in stream.outputs():
                    pass
            samples.append((perf_counter_ns() - started) / 1e6)
    return samples


async def library_ends(processes: int, count: int) -> Sequence[float]:
    """From the last input to a session of which nothing is left, in ms."""
    samples = []
    for _ in range(count):
        async with Session(manifest(processes)) as session:
            started = perf_counter_ns()
            await session.end()
            async for _ in session.outputs():
                pass
        samples.append((perf_counter_ns() - started) / 1e6)
    return samples


async def kills(processes: int, count: int) -> Sequence[float]:
    """From ``kill -9`` of a service with a session to the end of its last process, in ms."""
    return [await _kill(processes) for _ in range(count)]


async def _kill(processes: int) -> float:
    with server_process(*PENSTOCK) as (service, address):
        async with Client(address) as client:
            try:
                async with client.stream(manifest(processes)):
                    tree = ProcessTree(service.pid)
                    tree.look()
                    started = perf_counter_ns()
                    os.kill(service.pid, signal.SIGKILL)
                    assert not tree.remaining(_PATIENCE_S)
                    took_ms = (perf_counter_ns() - started) / 1e6
            except ServiceError:
                pass  # it is gone, as it should be
    return took_ms


@asynccontextmanager
async def _ends(processes: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    with server(*PENSTOCK) as address:
        yield {
            OURS: partial(service_ends, address, processes, count),
            "library": partial(library_ends, processes, count),
        }


@asynccontextmanager
async def _killed(processes: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    yield {OURS: partial(kills, processes, count)}


def _end_cases(effort: Effort) -> list[Case]:
    return [
        Case(name, partial(_ends, processes, effort.count(20)), (Target(_END_MS),))
        for name, processes in (("native only", 0), ("4 process nodes", 4))
    ]


def _kill_cases(effort: Effort) -> list[Case]:
    opened = partial(_killed, 4, min(effort.count(5), 5))
    return [Case("4 process nodes", opened, (Target(_GONE_MS),))]


SESSION_END = Figure(
    "session_end", "From the end of the input to the end of the session", "ms", apart(_end_cases)
)
SERVICE_KILLED = Figure(
    "service_killed",
    "From SIGKILL to the service to the end of its last process",
    "ms",
    apart(_kill_cases),
)
