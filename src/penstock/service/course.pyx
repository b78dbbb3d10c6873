"""How far a stream has been read, and what an interrupt beside it has made of the rest. Compiled."""

cimport cython
from libc.stdint cimport uint64_t

MOST_BESIDE = 64
"""Interrupts that may have come beside a stream, at most, and whose places it hasn't reached."""

MOST_AHEAD = 1 << 16
"""Messages that a client can have sent, at most, and that have yet to be read.

In what may be under way unread, 4 MiB, that is 64 bytes for each; of chunks of 20 ms, 20 minutes.
"""


@cython.final
cdef class Course:
    """Counts a stream's messages as they are ``read``, ``init`` among them.

    An interrupt that comes beside the stream names its place there: behind so many messages. Before
    that has been reached it overtakes what has yet to be read. What is given up is never more than
    ``MOST_AHEAD``: a place that no client has come to would make all of the stream stale for good.
    """

    def __cinit__(self):
        self._heeded = set()

    def advance(self):
        """Another message has been read."""
        self._advance()

    def has_advanced(self):
        """Whether a message has been read since this was asked last."""
        before, self._read_before = self._read_before, self.read
        return self.read > before

    @property
    def is_stale(self):
        """Whether the message that was read last had been given up before."""
        return self._is_stale()

    @property
    def is_heeded(self):
        """Whether an interrupt that was read last had come beside the stream before."""
        return self.read in self._heeded

    @property
    def farthest(self):
        """The last place that an interrupt beside the stream can have."""
        return self.read + MOST_AHEAD

    def lies_ahead(self, place):
        """Whether an interrupt of that place may overtake; else the stream has it, or will soon."""
        return place > self.read and len(self._heeded) < MOST_BESIDE

    def overtake(self, uint64_t place, *, bint everything):
        """An interrupt has been heeded; is all given up, so is what comes up to its place."""
        self._heeded.add(place)
        if everything:
            self._stale = max(self._stale, place)

    cdef int _advance(self) except -1:
        if self._heeded:
            self._heeded.discard(self.read)
        self.read += 1
        return 0

    cdef bint _is_stale(self) noexcept:
        return self.read <= self._stale
