"""What a session's lanes take of memory as more messages are on their way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.link import RigLink
from bench.hops.payload import Order
from bench.hops.rig import SIZES
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.sessions.gate import open_gate
from bench.sessions.graph import Graph, GraphRig, graph_rig
from bench.sessions.usage import proportional_bytes, shared_bytes

_IN_FLIGHT = (0, 1, 10, 50)
_CAPACITY = 100
_MEGABYTE = 1e6
_GROWTH = 2
_WHOLE_LANES = "capacity × size"
_PAYLOADS = "payloads on their way"
Used = Callable[[Sequence[int]], int]


async def held_mb(rig: GraphRig, link: RigLink, order: Order, used: Used) -> Sequence[float]:
    """What is used while an order's messages wait for a node that takes none of them."""
    if not order.count:
        return [used(rig.pids) / _MEGABYTE]
    await rig.order(order)
    link.wait_until_ready(1)
    held = used(rig.pids) / _MEGABYTE
    for _, holder in rig.graph.edges:
        open_gate(rig.link, holder)
    await rig.arrivals()
    return [held]


def _of_nodes(pids: Sequence[int]) -> int:
    """The memory of a session's processes without the first one, which measures."""
    return proportional_bytes(pids[1:])


async def _known(megabytes: float) -> Sequence[float]:
    return [megabytes]


@asynccontextmanager
async def _open(nbytes: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    graph, order = Graph.fan(2, "Filler", "Holder"), Order(count, nbytes)
    whole = len(graph.edges) * _CAPACITY * nbytes / _MEGABYTE
    async with graph_rig(graph) as rig:
        with RigLink(rig.link) as link:
            measures = {
                OURS: partial(held_mb, rig, link, order, shared_bytes),
                "the nodes' memory (PSS)": partial(held_mb, rig, link, order, _of_nodes),
                _WHOLE_LANES: partial(_known, whole),
            }
            if count:
                measures[_PAYLOADS] = partial(_known, count * nbytes / _MEGABYTE)
            yield measures


def _cases(size: str, _effort: Effort) -> list[Case]:
    return [
        Case(
            f"{count} on their way" if count else "idle",
            partial(_open, SIZES[size], count),
            (Target(_GROWTH, _PAYLOADS),) if count == _IN_FLIGHT[-1] else (),
            x=count,
        )
        for count in _IN_FLIGHT
    ]


MEMORY_SMALL, MEMORY_LARGE = (
    Figure(
        f"memory_{name}",
        f"Shared memory of three nodes with lanes of {_CAPACITY}, {size} each",
        "MB",
        apart(partial(_cases, size)),
    )
    for name, size in (("4_kb", "4 KB"), ("1_mb", "1 MB"))
)
