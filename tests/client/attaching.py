"""A stream to attach to."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from penstock.client import Client, Stream
from tests.talking import Talk

HERE = Path(__file__).parent
NODES = (
    "penstock.testing.faults",
    str(HERE.parent / "session" / "bus_nodes.py"),
    str(HERE / "holding_nodes.py"),
)
HOUR_S = 3600.0
MIXED = ("adds_a", "EchoNode", "adds_b")
"""Native, in a process, native."""


def chain(*types: str, params: Any = None, **multiprocess: Any) -> dict[str, Any]:
    """Nodes called ``n0``, ``n1``, … in a row; ``params`` are those of the first."""
    names = [f"n{index}" for index in range(len(types))]
    return {
        "version": "v1",
        "metadata": {"multiprocess": multiprocess},
        "nodes": [
            {"id": name, "node_type": kind, "params": (params or {}) if name == "n0" else {}}
            for name, kind in zip(names, types, strict=True)
        ],
        "connections": [{"from": one, "to": other} for one, other in itertools.pairwise(names)],
    }


class Talking:
    """A block in which a pipeline is talked to."""

    def __init__(self, client: Client, *types: str, **multiprocess: Any) -> None:
        self._stream = client.stream(chain(*types, **multiprocess))

    async def __aenter__(self) -> Talk[Stream]:
        await self._stream.__aenter__()
        return Talk(self._stream)

    async def __aexit__(self, *_: object) -> None:
        await self._stream.__aexit__()


class Hold:
    """A FIFO whose path has ``holds`` compute until ``release``."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "hold")
        os.mkfifo(self.path)
        self._file = os.open(self.path, os.O_RDWR)

    def release(self) -> None:
        os.write(self._file, b"x")

    def close(self) -> None:
        """What was written and not read is gone."""
        os.close(self._file)
