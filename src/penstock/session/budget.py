"""What all sessions of a service may use together, reserved before anything starts."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import ResourceLimitError, SessionError
from penstock.manifest import Limits


@dataclass(frozen=True, slots=True)
class Cost:
    """What one session takes at most."""

    processes: int
    shared_memory_bytes: int
    sessions: int = 1


class Budget:
    """The sessions that are admitted, by their IDs, and what they have reserved."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._reserved: dict[str, Cost] = {}

    def reserve(self, session_id: str, cost: Cost) -> None:
        """Admit a session, whole or not at all.

        Raises ``ResourceLimitError`` for what is not free, ``SessionError`` for an ID that a
        living session has.
        """
        if session_id in self._reserved:
            raise SessionError(f"session ID {session_id!r} is taken by a living session")
        for resource, limit in (
            ("processes", self.limits.max_processes),
            ("shared_memory_bytes", self.limits.max_shared_memory_bytes),
            ("sessions", self.limits.max_sessions),
        ):
            wished = getattr(cost, resource)
            free = limit - sum(getattr(other, resource) for other in self._reserved.values())
            if wished > free:
                raise ResourceLimitError(resource, wished=wished, free=free, limit=limit)
        self._reserved[session_id] = cost

    def release(self, session_id: str) -> None:
        """The session is gone; doing it twice is harmless."""
        self._reserved.pop(session_id, None)

    @property
    def sessions(self) -> tuple[str, ...]:
        """The IDs of the living sessions."""
        return tuple(self._reserved)
