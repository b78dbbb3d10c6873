"""What the operator reads of calls that failed: one line for each."""

from __future__ import annotations

import logging

from penstock.errors import ManifestError, PenstockError, SessionCancelledError

_log = logging.getLogger(__name__)
_LINE = 500
"""Characters of an error's first line: a node may have said anything, at any length."""
_EXPECTED = (ManifestError, SessionCancelledError)
"""What clients and the operator bring about every day."""


class CallLog:
    """One call of ``method`` by ``peer``; ``session_id`` is set once it has a session."""

    def __init__(self, method: str, peer: str = "") -> None:
        self._method = method
        self._peer = peer
        self.session_id = ""

    def failed(self, error: Exception) -> None:
        """Say why the call failed; with the traceback where nobody foresaw that it could."""
        who = self._who
        if isinstance(error, PenstockError):
            level = logging.INFO if isinstance(error, _EXPECTED) else logging.WARNING
            line = _first_line(error)
            _log.log(level, "%s failed: %s", who, line, extra=self._about | _about(error))
        else:
            _log.error("%s failed", who, exc_info=error, extra=self._about)

    def left(self) -> None:
        """Say that the client has given the call up, or its deadline has passed."""
        _log.info("%s was given up by its client", self._who, extra=self._about)

    def refused(self, message: str, reason: str, untold: int) -> None:
        """Say that the call wasn't let in; of ``untold`` ones before it nothing has been said."""
        before = f" (and {untold} calls before it)" if untold else ""
        about = self._about | {"reason": reason}
        who, line = _one_line(self._method), _one_line(message)
        _log.warning("%s was refused%s: %s", who, before, line, extra=about)

    def unread(self, error: PenstockError | None) -> None:
        """Say that the client didn't read to the end, and what its session failed with."""
        why = "" if error is None else f": {_first_line(error)}"
        about = self._about | ({} if error is None else _about(error))
        _log.warning("%s was not read to its end by its client%s", self._who, why, extra=about)

    @property
    def _about(self) -> dict[str, str]:
        """The fields of a log record that say which call it was."""
        fields = {"method": self._method, "peer": self._peer, "session_id": self.session_id}
        return {name: value for name, value in fields.items() if value}

    @property
    def _who(self) -> str:
        return f"{self._method} (session {self.session_id})" if self.session_id else self._method


def _about(error: PenstockError) -> dict[str, str]:
    node_id = getattr(error, "node_id", None)
    about = {"error": type(error).__name__}
    return about | {"node_id": node_id} if node_id else about


def _first_line(error: PenstockError) -> str:
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    """The first line, without what would steer the operator's terminal."""
    line = next(iter(text.splitlines()), "")[:_LINE]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
