"""How long one hop from process to process takes, with nothing else on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.contenders import ICEORYX, QUEUE, between_processes
from bench.hops.measures import hops_us, measured
from bench.hops.payload import Order
from bench.hops.placement import two_cores
from bench.hops.rig import SIZES
from bench.measurement import FLOOR, Case, Contenders, Effort, Figure, Target, apart

COUNTS = {"4 KB": 400, "64 KB": 300, "1 MB": 100, "3.84 MB": 40, "6.2 MB": 30}
PACED_US = 20_000
PACED_COUNT = 15
_TO_FLOOR = {"4 KB": 1.25, "1 MB": 1.15, "3.84 MB": 1.15, "6.2 MB": 1.15}
_TO_QUEUE = {"4 KB": 1 / 2, "3.84 MB": 1 / 50}


def targets(size: str) -> tuple[Target, ...]:
    """What a hop of this size is to reach, beside the floor and its peers."""
    wanted = [Target(_TO_FLOOR[size], FLOOR)] if size in _TO_FLOOR else []
    wanted.append(Target(1.2 if size == "6.2 MB" else 1.1, ICEORYX))
    if size in _TO_QUEUE:
        wanted.append(Target(_TO_QUEUE[size], QUEUE))
    return tuple(wanted)


@asynccontextmanager
async def _open(order: Order, cores: tuple[int, int] | None) -> AsyncIterator[Contenders]:
    async with between_processes(order.nbytes) as racers:
        with measured(racers, partial(hops_us, order), cores) as contenders:
            yield contenders


def _hot(effort: Effort) -> list[Case]:
    return [
        Case(
            size,
            partial(_open, Order(effort.count(COUNTS[size]), nbytes, turns=True), two_cores()),
            targets(size),
            x=nbytes,
        )
        for size, nbytes in SIZES.items()
    ]


def _paced(effort: Effort) -> list[Case]:
    count = effort.count(PACED_COUNT)
    return [
        Case(
            size,
            partial(_open, Order(count, nbytes, turns=True, interval_us=PACED_US), two_cores()),
            targets(size),
            x=nbytes,
        )
        for size, nbytes in SIZES.items()
    ]


def _placed(effort: Effort) -> list[Case]:
    first, _ = two_cores()
    places = {"on one core": (first, first), "anywhere": None}
    return [
        Case(
            f"{size}, {where}",
            partial(_open, Order(effort.count(COUNTS[size]), SIZES[size], turns=True), cores),
            targets(size),
        )
        for where, cores in places.items()
        for size in ("4 KB", "1 MB")
    ]


HOP_LATENCY = Figure(
    "hop_latency",
    "A hop from process to process, hot, from core to core: p50 / p99",
    "µs",
    apart(_hot),
)
HOP_PACED = Figure(
    "hop_paced",
    "A hop from process to process, one each 20 ms, from core to core: p50 / p99",
    "µs",
    apart(_paced),
)
HOP_PLACED = Figure(
    "hop_placed",
    "A hop from process to process, hot, placed otherwise: p50 / p99",
    "µs",
    apart(_placed),
)
