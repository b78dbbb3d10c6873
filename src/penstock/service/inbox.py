"""What a client sent and its session has not taken yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from penstock.errors import InputError
from penstock.executors.pump import LoopPump
from penstock.manifest import READ_AHEAD_BYTES

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue between one reader and one taker, with an end; bounded, but for a single chunk.

    ``turn`` counts how often it was cleared: who has something that came before can tell.
    """

    def __init__(self) -> None:
        self.ended = False
        self.turn = 0
        self._chunks: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._is_taking = False
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

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._chunks

    @property
    def is_passable(self) -> bool:
        """Whether a chunk may go past it: nothing is here, and the taker waits.

        Raises ``InputError`` after the end.
        """
        self._check()
        return self._is_taking and not self._chunks

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
        return chunk

    def _check(self) -> None:
        if self.ended:
            raise InputError("a chunk came after CLOSE")

    def _has_room(self, size: int) -> bool:
        return self._bytes + size <= READ_AHEAD_BYTES or not self._chunks
