"""How much nodes may say in the log: one that never stops must not fill a disk."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict

SOURCE = "penstock.node"
"""The logger of what nodes write to stdout and stderr."""
AT_ONCE_S = 16.0
"""A session's nodes may say as much at once as in so many seconds, after having been silent."""
OVERHEAD_BYTES = 200
"""What a record has besides the line: when, who, and which session."""
_MOST_SESSIONS = 4096
"""Whose rates are known; of more, those that were silent longest begin anew."""


class NodeLines(logging.Filter):
    """Lets pass ``bytes_per_s`` of each session's lines; others' records pass.

    The first line that passes again says how many were left out before it.
    """

    def __init__(self, bytes_per_s: int) -> None:
        super().__init__()
        self._bytes_per_s = bytes_per_s
        self._sessions: OrderedDict[str, _Rate] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged."""
        if record.name != SOURCE:
            return True
        said = record.__dict__  # where ``extra`` fields are
        rate = self._rate_of(str(said.get("session_id", "")))
        nbytes = len(str(said.get("line", ""))) + OVERHEAD_BYTES
        if not rate.takes(nbytes / self._bytes_per_s):
            return False
        if rate.left_out:
            record.msg = f"{record.msg} (after {rate.left_out} lines that were left out)"
            said["left_out"], rate.left_out = rate.left_out, 0
        return True

    def _rate_of(self, session_id: str) -> _Rate:
        rate = self._sessions.pop(session_id, None) or _Rate()
        self._sessions[session_id] = rate
        if len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return rate


class _Rate:
    """A leaky bucket that holds ``AT_ONCE_S``: what is said takes time, which comes by itself."""

    __slots__ = ("_paid_until", "left_out")

    def __init__(self) -> None:
        self.left_out = 0
        self._paid_until = 0.0

    def takes(self, seconds: float) -> bool:
        """Whether there is time left for what takes so long; else it counts as left out."""
        now = time.monotonic()
        begins = max(self._paid_until, now)
        if begins - now > AT_ONCE_S:
            self.left_out += 1
            return False
        self._paid_until = begins + seconds
        return True
