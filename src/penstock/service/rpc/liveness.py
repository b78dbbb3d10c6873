"""Whether a client is still there, and may be: pings, and the times that a connection has."""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable

from penstock.manifest import ConnectionSettings

_STRIKES = 2
_FAR_S = 86_400.0


class Verdict(enum.Enum):
    """What is to be done with a connection."""

    STAYS = enum.auto()
    IS_PINGED = enum.auto()
    LEAVES = enum.auto()
    """It takes no call any more, and ends with those it has."""
    IS_GONE = enum.auto()


class Liveness:
    """The clock of one connection; ``act`` is told of what is to be done when it is.

    ``heard`` is to be called when something has come, ``confirmed`` when the client knows the
    limits; who doesn't in time is no client. One that has no call is ``idle``.
    """

    def __init__(
        self,
        limits: ConnectionSettings,
        loop: asyncio.AbstractEventLoop,
        act: Callable[[Verdict], None],
    ) -> None:
        self.confirmed = False
        self._limits = limits
        self._loop = loop
        self._act = act
        self._born_at = self._heard_at = loop.time()
        self._idle_since: float | None = self._born_at
        self._pinged_at: float | None = None
        self._asked_at = -math.inf
        self._strikes = 0
        self._leaving = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._look()

    def end(self) -> None:
        """It is gone; nobody is told anything any more."""
        self._act = _nothing  # no cycle is left to be collected
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """Something has come."""
        self._heard_at = self._loop.time()

    def note_calls(self, count: int) -> None:
        """So many calls are in progress now."""
        if count:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = self._loop.time()

    def allows_ping(self, *, sent: bool) -> bool:
        """Whether the client may ping once more, to which something has been ``sent`` meanwhile."""
        now = self._loop.time()
        if sent:
            self._strikes = 0
        elif now - self._asked_at < self._limits.min_ping_interval_secs:
            self._strikes += 1
        self._asked_at = now
        return self._strikes <= _STRIKES

    def _look(self) -> None:
        now = self._loop.time()
        verdict, due = self._next(now)
        while due <= now:
            self._act(verdict)
            if verdict is Verdict.IS_GONE:
                return
            if verdict is Verdict.LEAVES:
                self._leaving = True
            elif verdict is Verdict.IS_PINGED:
                self._pinged_at = now
            verdict, due = self._next(now)
        self._timer = self._loop.call_at(due, self._look)

    def _next(self, now: float) -> tuple[Verdict, float]:
        """What is to be done first, and when."""
        return min(
            (self._confirming(now), self._pinging(now), self._ageing(now)),
            key=lambda found: found[1],
        )

    def _confirming(self, now: float) -> tuple[Verdict, float]:
        """What becomes of a client that doesn't confirm the limits, and when."""
        if self.confirmed:
            return Verdict.STAYS, now + _FAR_S
        return Verdict.IS_GONE, self._born_at + self._limits.handshake_timeout_secs

    def _pinging(self, now: float) -> tuple[Verdict, float]:
        """What becomes of one that says nothing, and when."""
        if self._pinged_at is not None and self._heard_at < self._pinged_at:
            return Verdict.IS_GONE, self._pinged_at + self._limits.keepalive_timeout_secs
        self._pinged_at = None
        return Verdict.IS_PINGED, self._heard_at + self._limits.keepalive_secs

    def _ageing(self, now: float) -> tuple[Verdict, float]:
        """What becomes of one that has been here for long, or is idle, and when."""
        due = now + _FAR_S
        if not self._leaving:
            if self._limits.max_age_secs is not None:
                due = self._born_at + self._limits.max_age_secs
            if self._limits.max_idle_secs is not None and self._idle_since is not None:
                due = min(due, self._idle_since + self._limits.max_idle_secs)
        return Verdict.LEAVES, due


def _nothing(_verdict: Verdict) -> None:
    """There is nothing to be done."""
