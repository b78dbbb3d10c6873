"""Sessions to attach to, in this process and in a host."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pipelines import chain, options

from penstock.session import Session

NODES = str(Path(__file__).parent / "bus_nodes.py")
MIXED = {"n1": "multiprocess"}
PLACES = {
    "fused": {},
    "processes": {"n0": "multiprocess", "n1": "multiprocess", "n2": "multiprocess"},
    "mixed": MIXED,
}
"""Where three nodes run."""


def opened(manifest: dict[str, Any], around: dict[str, Any], **more: Any) -> Session:
    return Session(manifest, options((NODES,), **around, **more))


def three(places: dict[str, str], **more: Any) -> dict[str, Any]:
    return chain("adds_a", "adds_b", "adds_c", executor_overrides=places, **more)


async def skipped(session: Session, node_id: str, count: int) -> None:
    """Wait until a node has been left out of so many inputs."""
    found = 0
    while found < count:
        await asyncio.sleep(0.005)  # asking without a pause keeps the GIL from a node's thread
        found = (await session.metrics()).nodes[node_id].skipped
