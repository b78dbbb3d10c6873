"""What a client sent and its session has not taken yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from penstock.executors.pump import LoopPump
from penstock.manifest import READ_AHEAD_BYTES
from penstock.service.entry import Box

Item = TypeVar("Item")


class Inbox(Box, Generic[Item]):
    """A queue between one reader and one taker, with an end; bounded, but for a single chunk."""

    def __init__(self) -> None:
        self._bytes = 0
        self._filled = LoopPump()
        self._emptied = LoopPump()

    async def put(self, chunk: Item, nbytes: int) -> None:
        """Wait for room for what takes so much memory; raises ``InputError`` after the end."""
        turn = self.turn
        while self.turn == turn and not self.put_nowait(chunk, nbytes):
            await self._emptied.idle()

    def put_nowait(self, chunk: Item, nbytes: int) -> bool:
        """As ``put``, where there is room, as there always is if nothing waits; whether so."""
        self._check()
        if not self._has_room(nbytes):
            return False
        self._chunks.append((chunk, nbytes))
        self._bytes += nbytes
        self._filled.notify()
        return True

    def __iter__(self) -> Iterator[Item]:
        """What waits, the oldest first."""
        return (chunk for chunk, _ in self._chunks)

    def end(self) -> None:
        """Nothing more comes; doing it twice is harmless."""
        self.ended = True
        self._filled.notify()

    def clear(self) -> None:
        """Forget what waits, and what waits for room."""
        self.turn += 1
        self._chunks.clear()
        self._bytes = 0
        self._emptied.notify()

    async def take(self) -> Item | None:
        """The next chunk, or None after the last."""
        self._is_taking = True
        while not self._chunks and not self.ended:
            await self._filled.idle()
        self._is_taking = False
        if not self._chunks:
            return None
        chunk, nbytes = self._chunks.popleft()
        self._bytes -= nbytes
        self._emptied.notify()
        return chunk  # type: ignore[no-any-return]  # what was put

    def _has_room(self, size: int) -> bool:
        return self._bytes + size <= READ_AHEAD_BYTES or not self._chunks
