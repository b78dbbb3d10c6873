"""News that waits for a client that is slow to read it. Compiled, since each result looks for some."""

cimport cython

from collections import deque

from penstock.data import VALUE_BYTES

NEWS_BYTES = 1 << 20
"""What waits has at most so many, each with ``VALUE_BYTES``; what is older is dropped."""


@cython.final
cdef class News:
    """The latest news, in order: the last always waits, however long it is."""

    def __cinit__(self):
        self._waiting = deque()

    def keep(self, news):
        """Have it wait, in the place of the oldest where they are too many."""
        nbytes = news.ByteSize() + VALUE_BYTES
        self._waiting.append((news, nbytes))
        self._bytes += nbytes
        while self._bytes > NEWS_BYTES and len(self._waiting) > 1:
            self.take()

    def take(self):
        """The oldest, which waits no more; None where there is none."""
        if not self._waiting:
            return None
        news, nbytes = self._waiting.popleft()
        self._bytes -= nbytes
        return news

    cdef bint _is_waiting(self) except -1:
        """Whether there is any."""
        return bool(self._waiting)
