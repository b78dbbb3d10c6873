"""Work beside other work, and waiting for an event beside the clock."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any


async def comes_within(limit_s: float | None, event: asyncio.Event) -> bool:
    """Wait for an event, for a while; whether it came."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def steadily(interval_s: float, until: asyncio.Event) -> AsyncIterator[None]:
    """Turns at a steady pace, the first after one interval, until the event comes.

    What is done in a turn takes nothing off the pace; turns that it takes too long for are left
    out.
    """
    due = time.monotonic() + interval_s
    while not await comes_within(due - time.monotonic(), until):
        yield
        late_s = max(time.monotonic() - due, 0.0)
        due += interval_s * (1 + late_s // interval_s)


class Seldom:
    """Counts what others may bring about at will, for a line in the log now and then."""

    def __init__(self, interval_s: float = 60.0) -> None:
        self._interval_s = interval_s
        self._count = 0
        self._quiet_until = 0.0

    def add(self, count: int = 1) -> int:
        """How often it has happened since that was told last; 0 while it is not to be told."""
        self._count += count
        now = time.monotonic()
        if now < self._quiet_until or not self._count:
            return 0
        self._quiet_until = now + self._interval_s
        told, self._count = self._count, 0
        return told


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Have a task of that name work for the length of the block; it is cancelled at its end."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
