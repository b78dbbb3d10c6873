"""How far a stream has been read, and what an interrupt beside it has made of the rest."""

from __future__ import annotations

MOST_BESIDE = 64
"""Interrupts that may have come beside a stream, at most, and whose places it hasn't reached."""

MOST_AHEAD = 1 << 16
"""Messages that a client can have sent, at most, and that have yet to be read.

In what may be under way unread, 4 MiB, that is 64 bytes for each; of chunks of 20 ms, 20 minutes.
"""


class Course:
    """Counts a stream's messages as they are read, ``init`` among them.

    An interrupt that comes beside the stream names its place there: behind so many messages. Before
    that has been reached it overtakes what has yet to be read. What is given up is never more than
    ``MOST_AHEAD``: a place that no client has come to would make all of the stream stale for good.
    """

    def __init__(self) -> None:
        self._read = 0
        self._read_before = 0
        self._stale = 0
        self._heeded: set[int] = set()

    def advance(self) -> None:
        """Another message has been read."""
        self._heeded.discard(self._read)
        self._read += 1

    def has_advanced(self) -> bool:
        """Whether a message has been read since this was asked last."""
        before, self._read_before = self._read_before, self._read
        return self._read > before

    @property
    def is_stale(self) -> bool:
        """Whether the message that was read last had been given up before."""
        return self._read <= self._stale

    @property
    def is_heeded(self) -> bool:
        """Whether an interrupt that was read last had come beside the stream before."""
        return self._read in self._heeded

    @property
    def read(self) -> int:
        """How many messages have been read."""
        return self._read

    @property
    def farthest(self) -> int:
        """The last place that an interrupt beside the stream can have."""
        return self._read + MOST_AHEAD

    def lies_ahead(self, place: int) -> bool:
        """Whether an interrupt of that place may overtake; else the stream has it, or will soon."""
        return place > self._read and len(self._heeded) < MOST_BESIDE

    def overtake(self, place: int, *, everything: bool) -> None:
        """An interrupt has been heeded; is all given up, so is what comes up to its place."""
        self._heeded.add(place)
        if everything:
            self._stale = max(self._stale, place)
