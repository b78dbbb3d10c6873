"""A hop in a session: two nodes, each where it is asked to be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from bench.hops.link import new_name
from bench.hops.payload import Arrival, Order
from bench.hops.rig import BETWEEN, Hop
from penstock.data import Json
from penstock.session import Session, SessionOptions

_EXECUTORS = {"native": "native", "process": "multiprocess"}


class PenstockRig:
    """Orders go in at the source node, arrivals come out at the target node."""

    def __init__(self, session: Session, pids: tuple[int, int]) -> None:
        self.session = session
        self.pids = pids
        self._outputs = session.outputs()

    async def run(self, order: Order) -> Arrival:
        await self.session.send("source", Json(asdict(order)))
        output = await anext(self._outputs)
        assert isinstance(output.value, Json)
        return Arrival.of_json(output.value.value)


@asynccontextmanager
async def penstock_rig(hop: Hop = BETWEEN) -> AsyncIterator[PenstockRig]:
    options = SessionOptions(nodes=("bench.hops.nodes",))
    async with Session(_manifest(hop), options) as session:
        nodes = (await session.metrics()).nodes
        yield PenstockRig(session, (nodes["source"].pid, nodes["target"].pid))


def _manifest(hop: Hop) -> dict[str, Any]:
    overrides = {"source": _EXECUTORS[hop[0]], "target": _EXECUTORS[hop[1]]}
    params = {"link": new_name()}
    return {
        "version": "v1",
        "metadata": {"name": "hop", "multiprocess": {"executor_overrides": overrides}},
        "nodes": [
            {"id": "source", "node_type": "HopSource", "params": params},
            {"id": "target", "node_type": "HopTarget", "params": params},
        ],
        "connections": [{"from": "source", "to": "target"}],
    }
