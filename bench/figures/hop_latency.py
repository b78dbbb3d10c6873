"""How long one hop takes with nothing else on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from bench.hops.contenders import contenders
from bench.hops.payload import Order
from bench.hops.ping_pong import ping_pong
from bench.hops.placement import pinned, two_cores
from bench.hops.rig import HOPS, SIZES, Place, Rig
from bench.measurement import Case, Effort, Figure, Measure, Target

_BETWEEN: tuple[Place, Place] = ("process", "process")
_COUNTS = {4096: 400, 64 << 10: 300, 1 << 20: 100, 3_840_000: 30}


async def latencies(rig: Rig, nbytes: int, count: int) -> Sequence[float]:
    """The time of each of ``count`` hops in µs, one after the other."""
    order = Order(1, nbytes)
    return [(await rig.run(order)).took_ns / 1000 for _ in range(count)]


@asynccontextmanager
async def _open(
    hop: tuple[Place, Place], nbytes: int, count: int, cores: tuple[int, int] | None
) -> AsyncIterator[Mapping[str, Measure]]:
    async with contenders(*hop, nbytes) as rigs:
        with pinned(rigs.values(), cores) if cores else nullcontext():
            yield {name: partial(latencies, rig, nbytes, count) for name, rig in rigs.items()}


def _cases(effort: Effort) -> list[Case]:
    first, second = two_cores()
    apart = [
        Case(
            f"{hop[0]} → {hop[1]}, {size}",
            partial(_open, hop, nbytes, effort.count(_COUNTS[nbytes]), (first, second)),
        )
        for hop in HOPS
        for size, nbytes in SIZES.items()
    ]
    opened = partial(_open, _BETWEEN, SIZES["4 KB"], effort.count(_COUNTS[SIZES["4 KB"]]))
    together = Case("process → process, 4 KB, on one core", partial(opened, (first, first)))
    free = Case(
        "process → process, 4 KB, anywhere",
        partial(_open_with_ping_pong, SIZES["4 KB"], effort.count(_COUNTS[SIZES["4 KB"]])),
        reference="ping-pong",
        target=Target(2),
    )
    return [*apart, together, free]


@asynccontextmanager
async def _open_with_ping_pong(nbytes: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    """The contenders as the scheduler places them, and two bare processes by themselves."""
    async with _open(_BETWEEN, nbytes, count, None) as measures:
        with ping_pong(nbytes) as bare:
            yield {"ping-pong": partial(bare.hops, nbytes, count), **measures}


HOP_LATENCY = Figure(
    "hop_latency", "Latency of a hop, hot, from core to core: p50 / p99", "µs", _cases
)
