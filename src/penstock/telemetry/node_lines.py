"""How much nodes may say in the log: one that never stops must not fill a disk."""

from __future__ import annotations

import logging
from collections import OrderedDict

from penstock.session.logs import NODE_LOGGER, LogRate

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
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged."""
        if record.name != NODE_LOGGER:
            return True
        said = record.__dict__  # where ``extra`` fields are
        session = self._session(str(said.get("session_id", "")))
        nbytes = len(str(said.get("line", ""))) + OVERHEAD_BYTES
        if not session.takes(nbytes / self._bytes_per_s, AT_ONCE_S):
            session.left_out += 1
            return False
        if session.left_out:
            record.msg = f"{record.msg} (after {session.left_out} lines that were left out)"
            said["left_out"], session.left_out = session.left_out, 0
        return True

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.pop(session_id, None) or _Session()
        self._sessions[session_id] = session
        if len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session


class _Session(LogRate):
    """How much of a session's lines may be logged now, and how many were not."""

    __slots__ = ("left_out",)

    def __init__(self) -> None:
        super().__init__()
        self.left_out = 0
