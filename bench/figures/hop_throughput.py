"""How many messages a second cross a hop with many on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.contenders import contenders
from bench.hops.payload import Order
from bench.hops.rig import HOPS, SIZES, Place, Rig
from bench.measurement import Case, Effort, Figure, Measure

_COUNTS = {4096: 4000, 64 << 10: 2000, 1 << 20: 300, 3_840_000: 100}


async def rate(rig: Rig, nbytes: int, count: int) -> Sequence[float]:
    """Messages a second, from before the first is written until the last has arrived."""
    arrival = await rig.run(Order(count, nbytes))
    return [arrival.count * 1e9 / arrival.took_ns]


@asynccontextmanager
async def _open(
    source: Place, target: Place, nbytes: int, count: int
) -> AsyncIterator[Mapping[str, Measure]]:
    async with contenders(source, target, nbytes) as rigs:
        yield {name: partial(rate, rig, nbytes, count) for name, rig in rigs.items()}


def _cases(effort: Effort) -> list[Case]:
    return [
        Case(
            f"{source} → {target}, {size}",
            partial(_open, source, target, nbytes, effort.count(_COUNTS[nbytes])),
            message_bytes=nbytes,
        )
        for source, target in HOPS
        for size, nbytes in SIZES.items()
    ]


HOP_THROUGHPUT = Figure("hop_throughput", "Throughput of a hop", "messages/s", _cases)
