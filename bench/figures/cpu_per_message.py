"""What CPU time a delivered message costs as there are more nodes, consumers, or messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.hops.payload import Order
from bench.hops.rig import SIZES
from bench.measurement import OURS, Case, Effort, Figure, Measure, Open, Target, apart
from bench.sessions.graph import Graph, GraphRig, graph_rig
from bench.sessions.usage import cpu_ns

_BASE = "the smallest"
_RATE = 500
_SECONDS = 0.4
_FLAT = 1.3


async def cpu_us(rig: GraphRig, order: Order) -> Sequence[float]:
    """CPU time of all the session's processes for each delivery of a message to a node."""
    before = cpu_ns(rig.pids)
    await rig.run(order)
    used_ns = cpu_ns(rig.pids) - before
    return [used_ns / 1000 / (order.count * len(rig.graph.edges))]


@asynccontextmanager
async def _open(graph: Graph, base: Graph, order: Order) -> AsyncIterator[Mapping[str, Measure]]:
    """A graph beside the smallest one of its kind."""
    async with graph_rig(graph) as rig, graph_rig(base) as base_rig:
        yield {_BASE: partial(cpu_us, base_rig, order), OURS: partial(cpu_us, rig, order)}


@asynccontextmanager
async def _open_alone(order: Order, base: Order) -> AsyncIterator[Mapping[str, Measure]]:
    """One hop at two rates."""
    async with graph_rig(Graph.chain(0)) as rig:
        yield {_BASE: partial(cpu_us, rig, base), OURS: partial(cpu_us, rig, order)}


def _case(name: str, opened: Open, x: float) -> Case:
    return Case(name, opened, (Target(_FLAT, _BASE),), x=x)


def _order(effort: Effort, rate: int) -> Order:
    return Order(effort.count(int(rate * _SECONDS)), SIZES["4 KB"], interval_us=1_000_000 // rate)


def _by_nodes(effort: Effort) -> list[Case]:
    order, base = _order(effort, _RATE), Graph.chain(0)
    return [
        _case(f"{n} after the source", partial(_open, Graph.chain(n - 1), base, order), n)
        for n in (1, 2, 4, 8, 16)
    ]


def _by_consumers(effort: Effort) -> list[Case]:
    order, base = _order(effort, _RATE), Graph.fan(1)
    return [
        _case(f"{n} consumers", partial(_open, Graph.fan(n), base, order), n) for n in (1, 2, 4, 8)
    ]


def _by_rate(effort: Effort) -> list[Case]:
    base = _order(effort, 100)
    return [
        _case(f"{rate:,} a second", partial(_open_alone, _order(effort, rate), base), rate)
        for rate in (100, 400, 1600, 6400)
    ]


CPU_NODES = Figure(
    "cpu_nodes", "CPU time for a delivered message, by nodes in a row", "µs", apart(_by_nodes)
)
CPU_FAN_OUT = Figure(
    "cpu_fan_out", "CPU time for a delivered message, by consumers", "µs", apart(_by_consumers)
)
CPU_RATE = Figure("cpu_rate", "CPU time for a delivered message, by rate", "µs", apart(_by_rate))
