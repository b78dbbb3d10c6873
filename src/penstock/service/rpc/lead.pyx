"""How far what is sent of a call may be ahead of what its client has read.

Windows of HTTP/2 say how much a client takes, which for gRPC's clients are megabytes: seconds of
speech, that nobody can take back when it is interrupted. As the client reads it widens them
again, and so tells how far it is.
"""

cimport cython
from libc.stdint cimport int64_t

cdef enum:
    LEAD = 36 << 10
    LARGE_WINDOW = 16 << 20  # who begins with such a one wants to be sent whatever there is
    LENIENCE = 4
    ENOUGH = 4  # who told that part of what it may be behind reads on, and is asked as at first
cdef int64_t _NO_BOUND = <int64_t>1 << 60

LEAD_BYTES = LEAD
"""A little more than half of 64 KiB: many clients tell when they have read half of a window."""
ASK_S = 0.005
"""How long a client has to tell how far it has read before it is asked again, at the least."""
_VAIN_S = 0.1
"""Who has told nothing for so long is sent ``LENIENCE`` times as much."""


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

    @property
    def pause_s(self):
        """How long its client has until it is asked again: as long as it has been asked by now.

        Who reads slowly but steadily has half of what it may be behind left by then.
        """
        return max(ASK_S, min(self._asked_s, _VAIN_S - self._silent_s))

    cdef bint far(self) noexcept:
        return self._top - self.window > self._most

    cpdef void spend(self, int64_t size) noexcept:
        """So much is sent."""
        self.window -= size

    cpdef void allow(self, int64_t size) noexcept:
        """A message of that size is the next."""
        cdef int64_t latest = self._in_latest + size - self._latest[self._at]
        self._most = max(self._first, latest) * self._lenience

    cpdef void count(self, int64_t size) noexcept:
        """The next message, of that size, is sent, or waits for room."""
        self.allow(size)
        self._in_latest += size - self._latest[self._at]
        self._latest[self._at] = size
        self._at = (self._at + 1) % LEAD_MESSAGES

    cpdef void widen(self, int64_t by) noexcept:
        """The client has read so much, or takes so much more."""
        self.window += by
        self._top = max(self._top, self.window)
        self._has_told = True
        self._told += by
        if self._told * ENOUGH >= self._most:
            self.ask_anew()
            self._reads_on = True
        if self._top - self.window <= self._first // 2:
            self._lenience = 1
        if not self.far():
            self._asked_at = 0.0

    cpdef void ask_anew(self) noexcept:
        """The client may read faster from now on than it did."""
        self._told, self._asked_s = 0, 0.0

    def shift(self, int64_t by):
        """The client begins with another window: so do its calls, after the fact."""
        self.window += by
        self._top += by

    cdef bint ask(self, double now) noexcept:
        """The client is asked, or was and hasn't answered; whether it answers, and reads on."""
        cdef bint reads_on = self._reads_on
        self._reads_on = False
        if not self._asked_at:
            self._asked_at = now
        return reads_on

    cdef int wait_until(self, double now) except -1:
        """It is asked again, if it was."""
        if self._asked_at:
            self.wait(now - self._asked_at)
            self._asked_at = 0.0
        return 0

    def wait(self, double pause_s):
        """The client has had so long to tell something; who never does is sent more."""
        cdef bint is_silent = self.far() and not self._has_told
        self._has_told = False
        self._asked_s += pause_s
        self._silent_s = self._silent_s + pause_s if is_silent else 0.0
        if self._silent_s >= _VAIN_S:
            self._silent_s = 0.0
            self._lenience *= LENIENCE
            self._most *= LENIENCE
