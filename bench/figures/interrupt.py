"""How soon a reply stops that is interrupted while everything is full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import grpc

from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.rpc.barge_in import NODES, BargeIn
from bench.rpc.servers import PENSTOCK, server

_STOPS_MS = 50


async def stops(address: str, count: int) -> Sequence[float]:
    """From the interrupt to the last stale result, in ms."""
    async with grpc.aio.insecure_channel(address) as channel:
        return await BargeIn(channel).run(count)


@asynccontextmanager
async def _open(count: int) -> AsyncIterator[Mapping[str, Measure]]:
    with server(*PENSTOCK, "--nodes", NODES) as address:
        yield {OURS: partial(stops, address, count)}


def _cases(effort: Effort) -> list[Case]:
    opened = partial(_open, effort.count(30))
    return [Case("three process hops, inlet full", opened, (Target(_STOPS_MS),))]


INTERRUPT = Figure(
    "interrupt", "From an interrupt to the last stale result: p50 / p99", "ms", apart(_cases)
)
