"""Results that have come and nobody has taken yet: bounded, in order, with an end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import TypeAlias

from penstock.wire.parted import Parted
from penstock.wire.v1 import streaming_pb2 as pb

Result: TypeAlias = Parted[pb.ChunkResult]
"""A result; a large payload of its one output lies beside it."""


class Results:
    """A queue of at most ``bound`` results between the one who receives and who takes them.

    While it is ``hurried`` nothing waits for room: something behind the results is awaited.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: deque[Result] = deque()
        self._ended = False
        self._hurries = 0
        self._changed = asyncio.Condition()

    async def put(self, result: Result) -> None:
        """Wait for room, and put a result in."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < self._bound or self._hurries)
            self._waiting.append(result)
            self._changed.notify_all()

    async def take(self) -> Result | None:
        """The next; None at the end, as often as it is asked for."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            result = self._waiting.popleft()
            self._changed.notify_all()
            return result

    async def hurry(self, *, on: bool) -> None:
        """Let results in beyond the bound from now on, or no more."""
        async with self._changed:
            self._hurries += 1 if on else -1
            self._changed.notify_all()

    async def drop_of(self, sinks: Collection[str]) -> None:
        """Forget what has come from these sinks."""
        async with self._changed:
            kept = [one for one in self._waiting if not set(one.message.data_outputs) <= set(sinks)]
            self._waiting = deque(kept)
            self._changed.notify_all()

    async def end(self, *, forget: bool) -> None:
        """Nothing more comes; what is there may be forgotten, where nobody wants it."""
        async with self._changed:
            self._ended = True
            if forget:
                self._waiting.clear()
            self._changed.notify_all()
