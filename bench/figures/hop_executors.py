"""How long a hop takes from any executor to any other, each payload ordered by the session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.contenders import between_executors
from bench.hops.measures import measured, ordered_us
from bench.hops.payload import Order
from bench.hops.placement import two_cores
from bench.hops.rig import HOPS, SIZES, WITHIN, Hop
from bench.measurement import Case, Contenders, Effort, Figure, Target, apart

_COUNTS = {"4 KB": 400, "1 MB": 100, "3.84 MB": 30}


@asynccontextmanager
async def _open(hop: Hop, nbytes: int, count: int) -> AsyncIterator[Contenders]:
    async with between_executors(hop, nbytes) as racers:
        measure = partial(ordered_us, Order(1, nbytes), count)
        with measured(racers, measure, two_cores()) as contenders:
            yield contenders


def _cases(effort: Effort) -> list[Case]:
    return [
        Case(
            f"{hop[0]} → {hop[1]}, {size}",
            partial(_open, hop, SIZES[size], effort.count(count)),
            (Target(5),) if (hop, size) == (WITHIN, "4 KB") else (),
        )
        for hop in HOPS
        for size, count in _COUNTS.items()
    ]


HOP_EXECUTORS = Figure(
    "hop_executors",
    "A hop between executors, hot, from core to core: p50 / p99",
    "µs",
    apart(_cases),
)
