"""How long one hop takes with nothing else on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.contenders import contenders
from bench.hops.payload import Order
from bench.hops.rig import HOPS, SIZES, Place, Rig
from bench.measurement import Case, Effort, Figure, Measure, Target

_COUNTS = {4096: 400, 64 << 10: 300, 1 << 20: 100, 3_840_000: 30}


async def latencies(rig: Rig, nbytes: int, count: int) -> Sequence[float]:
    """The time of each of ``count`` hops in µs, one after the other."""
    order = Order(1, nbytes)
    return [(await rig.run(order)).took_ns / 1000 for _ in range(count)]


@asynccontextmanager
async def _open(
    source: Place, target: Place, nbytes: int, count: int
) -> AsyncIterator[Mapping[str, Measure]]:
    async with contenders(source, target, nbytes) as rigs:
        yield {name: partial(latencies, rig, nbytes, count) for name, rig in rigs.items()}


def _cases(effort: Effort) -> list[Case]:
    return [
        Case(
            f"{source} → {target}, {size}",
            partial(_open, source, target, nbytes, effort.count(_COUNTS[nbytes])),
            target=Target(2) if (source, target, size) == ("process", "process", "4 KB") else None,
        )
        for source, target in HOPS
        for size, nbytes in SIZES.items()
    ]


HOP_LATENCY = Figure("hop_latency", "Latency of a hop, hot: p50 / p99", "µs", _cases)
