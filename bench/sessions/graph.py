"""Sessions of hop nodes and pass-through nodes, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from bench.hops.link import new_name
from bench.hops.payload import Arrival, Order
from penstock.data import Json
from penstock.session import Session, SessionOptions

PASSING = "PassThrough"
Edges = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Graph:
    """Node types by ID, and edges; ``targets`` of the nodes answer each order."""

    nodes: dict[str, str]
    edges: Edges
    targets: int = 1

    @classmethod
    def chain(cls, passing: int, source: str = "HopSource") -> Graph:
        """A source, so many pass-through nodes, and a target."""
        passers = [f"pass-{number}" for number in range(passing)]
        nodes = {"source": source, **dict.fromkeys(passers, PASSING), "target": "HopTarget"}
        return cls(nodes, list(pairwise(nodes)))

    @classmethod
    def fan(cls, out: int, source: str = "HopSource", target: str = "HopTarget") -> Graph:
        """A source and so many targets."""
        targets = [f"target-{number}" for number in range(out)]
        nodes = {"source": source, **dict.fromkeys(targets, target)}
        return cls(nodes, [("source", name) for name in targets], out)


class GraphRig:
    """Orders go in at the source; what the targets say comes out. ``pids`` are all of it."""

    def __init__(self, graph: Graph, session: Session, pids: Sequence[int], link: str) -> None:
        self.graph = graph
        self.session = session
        self.pids = pids
        self.link = link
        self._outputs = session.outputs()

    async def order(self, order: Order) -> None:
        await self.session.send("source", Json(asdict(order)))

    async def arrivals(self) -> list[Arrival]:
        """What each target has seen of the last order, once they all have seen all of it."""
        arrivals = []
        for _ in range(self.graph.targets):
            output = await anext(self._outputs)
            assert isinstance(output.value, Json)
            arrivals.append(Arrival.of_json(output.value.value))
        return arrivals

    async def run(self, order: Order) -> list[Arrival]:
        await self.order(order)
        return await self.arrivals()


@asynccontextmanager
async def graph_rig(graph: Graph) -> AsyncIterator[GraphRig]:
    """A session of the graph, every node in a process of its own."""
    link = new_name()
    options = SessionOptions(nodes=("bench.hops.nodes", "bench.sessions.nodes"))
    async with Session(_manifest(graph, link), options) as session:
        nodes = (await session.metrics()).nodes.values()
        yield GraphRig(graph, session, [os.getpid(), *(node.pid for node in nodes)], link)


def _manifest(graph: Graph, link: str) -> dict[str, Any]:
    multiprocess = {
        "executor_overrides": dict.fromkeys(graph.nodes, "multiprocess"),
        "max_processes_per_session": len(graph.nodes),
        "max_message_bytes": 32 << 20,  # so that each process may have 64 MiB on their way
    }
    nodes = [
        {"id": name, "node_type": kind, "params": {} if kind == PASSING else {"link": link}}
        for name, kind in graph.nodes.items()
    ]
    return {
        "version": "v1",
        "metadata": {"name": "graph", "multiprocess": multiprocess},
        "nodes": nodes,
        "connections": [{"from": source, "to": target} for source, target in graph.edges],
    }
