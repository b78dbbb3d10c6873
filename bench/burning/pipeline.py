"""The work in a pipeline: every item passes all nodes, each in its process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from penstock.data import Json
from penstock.session import Session, SessionOptions


class Pipeline:
    """A session of several burners in a row."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outputs = session.outputs()

    async def run(self, items: int) -> None:
        """Send the items in, and wait until all have come out."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(items))
            for _ in range(items):
                await anext(self._outputs)

    async def _send(self, items: int) -> None:
        for number in range(items):
            await self._session.send(self._session.sources[0], Json(number))


@asynccontextmanager
async def pipeline(nodes: int) -> AsyncIterator[Pipeline]:
    options = SessionOptions(nodes=("bench.burning.nodes",))
    async with Session(_manifest(nodes), options) as session:
        yield Pipeline(session)


def _manifest(nodes: int) -> dict[str, Any]:
    names = [f"burner-{number}" for number in range(nodes)]
    return {
        "version": "v1",
        "metadata": {"name": "burning"},
        "nodes": [{"id": name, "node_type": "Burner"} for name in names],
        "connections": [{"from": source, "to": target} for source, target in pairwise(names)],
    }
