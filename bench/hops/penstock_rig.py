"""A hop in a session: two nodes, each where it is asked to be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from bench.hops.payload import Arrival, Order
from bench.hops.rig import Place
from penstock.data import Json
from penstock.session import Session, SessionOptions

_EXECUTORS = {"native": "native", "process": "multiprocess"}


class PenstockRig:
    """Orders go in at the source node, arrivals come out at the target node."""

    def __init__(self, session: Session, pids: tuple[int, int]) -> None:
        self.pids = pids
        self._session = session
        self._outputs = session.outputs()

    async def run(self, order: Order) -> Arrival:
        await self._session.send("source", Json(asdict(order)))
        output = await anext(self._outputs)
        assert isinstance(output.value, Json)
        return Arrival(**output.value.value)


@asynccontextmanager
async def penstock_rig(source: Place, target: Place) -> AsyncIterator[PenstockRig]:
    options = SessionOptions(nodes=("bench.hops.nodes",))
    async with Session(_manifest(source, target), options) as session:
        nodes = (await session.metrics()).nodes
        yield PenstockRig(session, (nodes["source"].pid, nodes["target"].pid))


def _manifest(source: Place, target: Place) -> dict[str, Any]:
    overrides = {"source": _EXECUTORS[source], "target": _EXECUTORS[target]}
    return {
        "version": "v1",
        "metadata": {"name": "hop", "multiprocess": {"executor_overrides": overrides}},
        "nodes": [
            {"id": "source", "node_type": "HopSource"},
            {"id": "target", "node_type": "HopTarget"},
        ],
        "connections": [{"from": "source", "to": "target"}],
    }
