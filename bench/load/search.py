"""How many streams a server carries before one is late."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
BOUND_MS = 20.0
"""One chunk."""
_CLOSE = 1.06
"""The search ends where what is too many is hardly more than what is carried."""


async def late_ms(address: str, kind: str, streams: int, chunks: int) -> float:
    """The 99th percentile of how late the results of so many streams are."""
    words = [sys.executable, "-m", "bench.load.generator", kind, address]
    process = await asyncio.create_subprocess_exec(
        *words, str(streams), str(chunks), cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    return float(said)


async def most_streams(address: str, kind: str, chunks: int, most: int) -> float:
    """The largest number, up to ``most``, whose results are in time; found by halving."""
    carried, too_many = 0, most + 1
    while too_many - carried > 1 and too_many > carried * _CLOSE:
        streams = (carried + too_many) // 2
        if await late_ms(address, kind, streams, chunks) <= BOUND_MS:
            carried = streams
        else:
            too_many = streams
    return float(carried)
