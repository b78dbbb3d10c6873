"""News that waits for a client that is slow to read it."""

from __future__ import annotations

from collections import deque

from penstock.data import VALUE_BYTES
from penstock.wire.v1 import streaming_pb2 as pb

NEWS_BYTES = 1 << 20
"""What waits has at most so many, each with ``VALUE_BYTES``; what is older is dropped."""


class News:
    """The latest news, in order: the last always waits, however long it is."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[pb.StreamResponse, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def keep(self, news: pb.StreamResponse) -> None:
        """Have it wait, in the place of the oldest where they are too many."""
        nbytes = news.ByteSize() + VALUE_BYTES
        self._waiting.append((news, nbytes))
        self._bytes += nbytes
        while self._bytes > NEWS_BYTES and len(self._waiting) > 1:
            self.take()

    def take(self) -> pb.StreamResponse | None:
        """The oldest, which waits no more; None where there is none."""
        if not self._waiting:
            return None
        news, nbytes = self._waiting.popleft()
        self._bytes -= nbytes
        return news
