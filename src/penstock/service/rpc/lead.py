"""How far what is sent of a call may be ahead of what its client has read.

Windows of HTTP/2 say how much a client takes, which for gRPC's clients are megabytes: seconds of
speech, that nobody can take back when it is interrupted. As the client reads it widens them
again, and so tells how far it is.
"""

from __future__ import annotations

LEAD_BYTES = 36 << 10
"""A little more than half of 64 KiB: many clients tell when they have read half of a window."""
_LEAD_MESSAGES = 8
"""So many messages may be under way, however long they are."""
_LARGE_WINDOW = 16 << 20
"""Who begins with a window like that wants to be sent whatever there is."""
_NO_BOUND = 1 << 62
_MOST_WAITS, _LENIENCE = 20, 4
"""After so many times that a client was asked in vain it is sent so much more."""


class Lead:
    """That of one call; ``window`` is how much its client takes."""

    __slots__ = ("_first", "_has_told", "_lenience", "_most", "_top", "_waits", "window")

    def __init__(self, window: int) -> None:
        self.window = self._top = window
        self._first = LEAD_BYTES if window <= _LARGE_WINDOW else _NO_BOUND
        self._most = self._first
        self._lenience = 1
        self._has_told = False
        self._waits = 0

    @property
    def is_far(self) -> bool:
        """Whether it is so far ahead that nothing more is to be sent for now."""
        return self._top - self.window > self._most

    def allow(self, size: int) -> None:
        """Messages of that size are sent."""
        self._most = max(self._first, _LEAD_MESSAGES * size) * self._lenience

    def widen(self, by: int) -> None:
        """The client has read so much, or takes so much more."""
        self.window += by
        self._top = max(self._top, self.window)
        self._has_told = True
        if self._top - self.window <= self._first // 2:
            self._lenience = 1

    def shift(self, by: int) -> None:
        """The client begins with another window: so do its calls, after the fact."""
        self.window += by
        self._top += by

    def wait(self) -> None:
        """The client has had time to tell something; who never does is sent more."""
        self._waits = self._waits + 1 if self.is_far and not self._has_told else 0
        self._has_told = False
        if self._waits == _MOST_WAITS:
            self._waits = 0
            self._lenience *= _LENIENCE
            self._most *= _LENIENCE
