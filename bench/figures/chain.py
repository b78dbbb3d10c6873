"""How long a hop of a chain that only passes payloads on takes, by their size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.payload import Order
from bench.hops.rig import SIZES
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.sessions.graph import Graph, GraphRig, graph_rig

_PASSING = 5
_SMALL = "at 4 KB"
_SOURCES = {"sent again": "RepeatingSource", "written anew": "ChainSource"}


async def hops_us(rig: GraphRig, order: Order) -> Sequence[float]:
    """The time of a hop, on the mean over the chain, for each payload; they go in turns."""
    (arrival,) = await rig.run(order)
    return [took / 1000 / len(rig.graph.edges) for took in arrival.hops_ns]


@asynccontextmanager
async def _open(source: str, nbytes: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    async with graph_rig(Graph.chain(_PASSING, source)) as rig:
        yield {
            _SMALL: partial(hops_us, rig, Order(count, SIZES["4 KB"], turns=True)),
            OURS: partial(hops_us, rig, Order(count, nbytes, turns=True)),
        }


def _cases(effort: Effort) -> list[Case]:
    return [
        Case(
            f"{size}, {what}",
            partial(_open, source, SIZES[size], effort.count(100)),
            (Target(1.2, _SMALL),) if size == "6.2 MB" else (),
        )
        for what, source in _SOURCES.items()
        for size in ("64 KB", "1 MB", "6.2 MB")
    ]


CHAIN = Figure(
    "chain",
    f"A hop of a chain of {_PASSING} pass-through processes, hot: p50 / p99",
    "µs",
    apart(_cases),
)
