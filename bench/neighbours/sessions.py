"""The two sessions, as a client of the service has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from penstock.client import Client, Stream
from penstock.data import Json

BURNERS = 2
"""Threads that compete for one GIL."""


class Quiet:
    """Sends a stamp now and again, one at a time, and hears how long it took."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._outputs = stream.outputs()

    async def hops_us(self, count: int) -> Sequence[float]:
        """The time of each hop, without the client's ways to the session and back."""
        return [await self._hop_us() for _ in range(count)]

    async def _hop_us(self) -> float:
        await self._stream.send("stamp", Json(None))
        output = await anext(self._outputs)
        assert isinstance(output.value, Json)
        return float(output.value.value) / 1000


@asynccontextmanager
async def quiet(client: Client, target: str) -> AsyncIterator[Quiet]:
    """A session of two nodes; ``target`` is the type of the second."""
    nodes = [{"id": "stamp", "node_type": "Stamp"}, {"id": "took", "node_type": target}]
    connections = [{"from": "stamp", "to": "took"}]
    async with client.stream(_manifest("quiet", nodes, connections)) as stream:
        yield Quiet(stream)


@asynccontextmanager
async def burning(client: Client) -> AsyncIterator[None]:
    """A session whose native nodes all compute, for as long as it is open."""
    names = [f"burner-{number}" for number in range(BURNERS)]
    nodes = [{"id": name, "node_type": "NativeBurner"} for name in names]
    async with client.stream(_manifest("burning", nodes, [])) as stream:
        outputs = stream.outputs()
        for name in names:
            await stream.send(name, Json(None))
            await anext(outputs)
        yield


def _manifest(
    name: str, nodes: list[dict[str, str]], connections: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "version": "v1",
        "metadata": {"name": name},
        "nodes": nodes,
        "connections": connections,
    }
