"""How soon a reply stops that is interrupted while everything is full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import grpc

from bench.load.clients import clients
from bench.load.generator import CHUNK_S
from bench.load.service import roomy
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.rpc.barge_in import NODES, BargeIn
from bench.rpc.servers import PENSTOCK, server

_STOPS_MS = 50
_BESIDE = 60
_FOR_S = 600  # longer than what is measured beside them


async def stops(address: str, count: int) -> Sequence[float]:
    """From the interrupt to the last stale result, in ms."""
    async with grpc.aio.insecure_channel(address) as channel:
        return await BargeIn(channel).run(count)


@asynccontextmanager
async def _open(count: int) -> AsyncIterator[Mapping[str, Measure]]:
    with server(*PENSTOCK, "--nodes", NODES) as address:
        yield {OURS: partial(stops, address, count)}


@asynccontextmanager
async def _open_beside(count: int, streams: int) -> AsyncIterator[Mapping[str, Measure]]:
    """Beside so many streams, on each of which a chunk of speech comes and goes each 20 ms."""
    with (
        roomy() as words,
        server(*words, "--nodes", NODES) as address,
        clients(address, streams) as others,
    ):
        others.send(round(_FOR_S / CHUNK_S))
        yield {OURS: partial(stops, address, count)}


def _cases(effort: Effort) -> list[Case]:
    count, beside = effort.count(30), 2 if effort.quick else _BESIDE
    target = (Target(_STOPS_MS),)
    return [
        Case("three process hops, inlet full", partial(_open, count), target),
        Case(f"beside {beside} real-time streams", partial(_open_beside, count, beside), target),
    ]


INTERRUPT = Figure(
    "interrupt", "From an interrupt to the last stale result: p50 / p99", "ms", apart(_cases)
)
