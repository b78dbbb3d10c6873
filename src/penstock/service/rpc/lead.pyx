"""How far what is sent of a call may be ahead of what its client has read.

Windows of HTTP/2 say how much a client takes, which for gRPC's clients are megabytes: seconds of
speech, that nobody can take back when it is interrupted. As the client reads it widens them
again, and so tells how far it is.
"""

cimport cython
from libc.stdint cimport int64_t

cdef enum:
    LEAD = 36 << 10
    LEAD_MESSAGES = 8  # so many may be under way, however long they are
    LARGE_WINDOW = 16 << 20  # who begins with such a one wants to be sent whatever there is
    MOST_WAITS = 20  # so many times a client is asked in vain, and then it is
    LENIENCE = 4  # times as much that it is sent
cdef int64_t _NO_BOUND = <int64_t>1 << 60

LEAD_BYTES = LEAD
"""A little more than half of 64 KiB: many clients tell when they have read half of a window."""


@cython.final
cdef class Lead:
    """That of one call; ``window`` is how much its client takes."""

    def __init__(self, int64_t window):
        self.window = self._top = window
        self._first = LEAD if window <= LARGE_WINDOW else _NO_BOUND
        self._most = self._first
        self._lenience = 1

    @property
    def is_far(self):
        """Whether it is so far ahead that nothing more is to be sent for now."""
        return self.far()

    cdef bint far(self) noexcept:
        return self._top - self.window > self._most

    cpdef void spend(self, int64_t size) noexcept:
        """So much is sent."""
        self.window -= size

    cpdef void allow(self, int64_t size) noexcept:
        """Messages of that size are sent."""
        self._most = max(self._first, LEAD_MESSAGES * size) * self._lenience

    cpdef void widen(self, int64_t by) noexcept:
        """The client has read so much, or takes so much more."""
        self.window += by
        self._top = max(self._top, self.window)
        self._has_told = True
        if self._top - self.window <= self._first // 2:
            self._lenience = 1

    def shift(self, int64_t by):
        """The client begins with another window: so do its calls, after the fact."""
        self.window += by
        self._top += by

    def wait(self):
        """The client has had time to tell something; who never does is sent more."""
        self._waits = self._waits + 1 if self.far() and not self._has_told else 0
        self._has_told = False
        if self._waits == MOST_WAITS:
            self._waits = 0
            self._lenience *= LENIENCE
            self._most *= LENIENCE
