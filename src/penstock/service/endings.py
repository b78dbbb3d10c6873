"""What became of sessions that are gone: who attaches too late is told."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.errors import SessionCancelledError
from penstock.service.callers import Caller
from penstock.session import Session
from penstock.wire.control import closed
from penstock.wire.v1 import control_pb2 as pb

REMEMBERED = 64
"""Sessions whose ends are kept; an end may have a node's traceback."""


class Endings:
    """The last event of each of the last sessions, for those who might have attached to it."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Caller, pb.ControlEvent]] = {}

    def keep(self, session: Session, holder: Caller, *, stopping: bool) -> None:
        """A session is gone; of the session itself nothing is kept."""
        self._kept[session.session_id] = holder, ending_of(session, stopping=stopping)
        if len(self._kept) > REMEMBERED:
            del self._kept[next(iter(self._kept))]

    def of(self, session_id: str, caller: Caller) -> pb.ControlEvent | None:
        """None where it is not known, or somebody else's."""
        holder, event = self._kept.get(session_id, (None, None))
        return event if holder is not None and caller.sees(holder) else None


def ending_of(
    session: Session, taps: Iterable[pb.TapEnd] = (), *, stopping: bool
) -> pb.ControlEvent:
    """The last event of an attachment: a client may end its session early, and a service not."""
    failure = session.failure
    left = isinstance(failure, SessionCancelledError) and not stopping
    fine = failure is None or left
    reason = pb.CLOSE_REASON_CODE_NORMAL if fine else pb.CLOSE_REASON_CODE_ERROR
    return closed(reason, failure, taps)
