"""How many messages a second cross a hop with many on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.contenders import between_executors, between_processes
from bench.hops.copying import CopyRig
from bench.hops.measures import measured, rate
from bench.hops.payload import Order
from bench.hops.rig import BETWEEN, HOPS, SIZES, Hop
from bench.measurement import Case, Contenders, Effort, Figure, Target, apart

_COUNTS = {"4 KB": 4000, "64 KB": 2000, "1 MB": 300, "3.84 MB": 100, "6.2 MB": 60}
_COPYTO = "numpy.copyto"
_TARGETS = {
    "4 KB": (Target(60_000, at_least=True),),
    "3.84 MB": (Target(0.8, _COPYTO, at_least=True),),
}


@asynccontextmanager
async def _open(order: Order) -> AsyncIterator[Contenders]:
    async with between_processes(order.nbytes) as racers:
        with_copying = {_COPYTO: CopyRig(order.nbytes), **racers}
        with measured(with_copying, partial(rate, order)) as contenders:
            yield contenders


@asynccontextmanager
async def _open_others(hop: Hop, order: Order) -> AsyncIterator[Contenders]:
    async with between_executors(hop, order.nbytes) as racers:
        with measured(racers, partial(rate, order)) as contenders:
            yield contenders


def _cases(effort: Effort) -> list[Case]:
    return [
        Case(
            size,
            partial(_open, Order(effort.count(_COUNTS[size]), nbytes)),
            _TARGETS.get(size, ()),
            message_bytes=nbytes,
        )
        for size, nbytes in SIZES.items()
    ]


def _other_cases(effort: Effort) -> list[Case]:
    return [
        Case(
            f"{hop[0]} → {hop[1]}, {size}",
            partial(_open_others, hop, Order(effort.count(_COUNTS[size]), SIZES[size])),
            message_bytes=SIZES[size],
        )
        for hop in HOPS
        if hop != BETWEEN
        for size in ("4 KB", "3.84 MB")
    ]


HOP_THROUGHPUT = Figure(
    "hop_throughput", "Throughput from process to process", "messages/s", apart(_cases)
)
EXECUTOR_THROUGHPUT = Figure(
    "executor_throughput", "Throughput of other hops", "messages/s", apart(_other_cases)
)
