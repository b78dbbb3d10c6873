"""What a stream's client sent and the session has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque

from penstock.errors import InputError
from penstock.manifest import READ_AHEAD_BYTES
from penstock.service.chunks import Inputs


class Inbox:
    """A queue between one reader and one taker, with an end; bounded, but for a single chunk."""

    def __init__(self) -> None:
        self._chunks: deque[Inputs] = deque()
        self._bytes = 0
        self._ended = False
        self._changed = asyncio.Condition()

    async def put(self, chunk: Inputs) -> None:
        """Wait for room; raises ``InputError`` after the end."""
        if self._ended:
            raise InputError("a chunk came after CLOSE")
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(chunk.nbytes))
            self._chunks.append(chunk)
            self._bytes += chunk.nbytes
            self._changed.notify_all()

    async def end(self) -> None:
        """Nothing more comes; doing it twice is harmless."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget what waits; for the one who puts, who is then not waiting for room."""
        self._chunks.clear()
        self._bytes = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._ended

    async def take(self) -> Inputs | None:
        """The next chunk, or None after the last."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._chunks or self._ended)
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._bytes -= chunk.nbytes
            self._changed.notify_all()
            return chunk

    def _has_room(self, size: int) -> bool:
        return self._bytes + size <= READ_AHEAD_BYTES or not self._chunks
