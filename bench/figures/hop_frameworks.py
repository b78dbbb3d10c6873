"""How long one hop from process to process takes, beside frameworks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.figures.hop_latency import COUNTS, PACED_COUNT, PACED_US
from bench.hops.contenders import DORA_RS, Racers, frameworks
from bench.hops.measures import hops_us, measured
from bench.hops.payload import Order
from bench.hops.placement import two_cores
from bench.hops.rig import SIZES
from bench.measurement import Case, Contenders, Effort, Figure, Target

_TO_DORA = {"4 KB": 1 / 3, "1 MB": 1 / 2, "6.2 MB": 1 / 1.3}


@asynccontextmanager
async def _open(racers: Racers, order: Order) -> AsyncIterator[Contenders]:
    with measured(racers, partial(hops_us, order), two_cores()) as contenders:
        yield contenders


@asynccontextmanager
async def _hot(effort: Effort) -> AsyncIterator[Sequence[Case]]:
    async with frameworks() as racers:
        yield [
            _case(racers, size, Order(effort.count(COUNTS[size]), nbytes, turns=True))
            for size, nbytes in SIZES.items()
        ]


@asynccontextmanager
async def _paced(effort: Effort) -> AsyncIterator[Sequence[Case]]:
    count = effort.count(PACED_COUNT)
    async with frameworks() as racers:
        yield [
            _case(racers, size, Order(count, nbytes, turns=True, interval_us=PACED_US))
            for size, nbytes in SIZES.items()
        ]


def _case(racers: Racers, size: str, order: Order) -> Case:
    targets = (Target(_TO_DORA[size], DORA_RS),) if size in _TO_DORA else ()
    return Case(size, partial(_open, racers, order), targets, x=order.nbytes)


HOP_FRAMEWORKS = Figure(
    "hop_frameworks",
    "A hop beside frameworks, hot, from core to core: p50 / p99",
    "µs",
    _hot,
)
HOP_FRAMEWORKS_PACED = Figure(
    "hop_frameworks_paced",
    "A hop beside frameworks, one each 20 ms, from core to core: p50 / p99",
    "µs",
    _paced,
)
