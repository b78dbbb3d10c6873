"""The states of a session, as the data model draws them."""

from __future__ import annotations

from enum import StrEnum

from penstock.machine import Machine, Table


class SessionStatus(StrEnum):
    """Where a session stands; what its error was is in the context."""

    INITIALIZING = "Initializing"
    READY = "Ready"
    EXECUTING = "Executing"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    ERROR = "Error"


class SessionEvent(StrEnum):
    """What moves a session."""

    INITIALIZED = "all executors initialized"
    STARTED = "pipeline execution starts"
    PROCESSING = "nodes processing"
    COMPLETED = "pipeline complete"
    CLIENT_LEFT = "client disconnect"
    FAILED = "failure"
    CLEANED_UP = "cleanup complete"


SESSION_TABLE: Table[SessionStatus, SessionEvent] = {
    SessionStatus.INITIALIZING: {
        SessionEvent.INITIALIZED: SessionStatus.READY,
        SessionEvent.FAILED: SessionStatus.ERROR,
    },
    SessionStatus.READY: {
        SessionEvent.STARTED: SessionStatus.EXECUTING,
        SessionEvent.CLIENT_LEFT: SessionStatus.TERMINATING,
    },
    SessionStatus.EXECUTING: {
        SessionEvent.PROCESSING: SessionStatus.EXECUTING,
        SessionEvent.COMPLETED: SessionStatus.TERMINATING,
        SessionEvent.CLIENT_LEFT: SessionStatus.TERMINATING,
        SessionEvent.FAILED: SessionStatus.ERROR,
    },
    SessionStatus.TERMINATING: {SessionEvent.CLEANED_UP: SessionStatus.TERMINATED},
    SessionStatus.ERROR: {SessionEvent.CLEANED_UP: SessionStatus.TERMINATED},
    SessionStatus.TERMINATED: {},
}


def session_machine(session_id: str) -> Machine[SessionStatus, SessionEvent]:
    return Machine(f"session {session_id}", SESSION_TABLE, SessionStatus.INITIALIZING)


def fail(machine: Machine[SessionStatus, SessionEvent]) -> None:
    """Walk to ``Error``: a fault in ``Ready`` goes through ``Executing``.

    A fault while the session ends changes nothing: it still ends.
    """
    if machine.state is SessionStatus.READY:
        machine.step(SessionEvent.STARTED)
    if machine.can(SessionEvent.FAILED):
        machine.step(SessionEvent.FAILED)
