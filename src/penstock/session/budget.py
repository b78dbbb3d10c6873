"""What all sessions of a service may use together, reserved before anything starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from penstock.errors import ResourceLimitError, SessionError
from penstock.manifest import Capacity, Limits
from penstock.session.cost import Cost

_LIMITS: dict[str, str | None] = {
    "processes": "max_processes",
    "shared_memory_bytes": "max_shared_memory_bytes",
    "buffered_bytes": "max_buffered_bytes",
    "node_memory_bytes": None,
    "memory_bytes": None,
    "sessions": "max_sessions",
    "open_files": None,
}
"""What is reserved, and the limit on it; what has none is bounded by what the machine has."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of ``resource`` there is, and how much of that nobody has reserved."""

    resource: str
    limit: int
    free: int


class Budget:
    """The sessions that are admitted, by their IDs, and what they have reserved.

    Beside the operator's limits there is the machine's own: what is promised of memory, of
    whatever sort, and of descriptors must be there. ``on_change`` is called when something is
    reserved or released; ``refusals`` counts, by what there was not enough of.
    """

    def __init__(self, limits: Limits, capacity: Capacity | None = None) -> None:
        self.limits = limits
        self.on_change: Callable[[], None] = _nobody_listens
        self.refusals: Counter[str] = Counter()
        machine = capacity or Capacity.here()
        self._machine = {
            "node_memory_bytes": machine.memory_bytes,
            "memory_bytes": machine.memory_bytes,
            "open_files": machine.open_files,
        }
        self._reserved: dict[str, Cost] = {}
        self._used: Counter[str] = Counter()

    def reserve(self, session_id: str, cost: Cost) -> None:
        """Admit a session, whole or not at all.

        Raises ``ResourceLimitError`` for what is not free, ``SessionError`` for an ID that a
        living session has.
        """
        if session_id in self._reserved:
            raise SessionError(f"session ID {session_id!r} is taken by a living session")
        shortage = self.shortage(cost)
        if shortage is not None:
            self.refusals[shortage.resource] += 1
            raise shortage
        self._reserved[session_id] = cost
        self._used.update(_parts(cost))
        self.on_change()

    def release(self, session_id: str) -> None:
        """The session is gone; doing it twice is harmless."""
        cost = self._reserved.pop(session_id, None)
        if cost is not None:
            self._used.subtract(_parts(cost))
            self.on_change()

    def shortage(self, cost: Cost) -> ResourceLimitError | None:
        """Why a session of that cost can't be admitted now; None where it can."""
        own = self.limits.max_shared_memory_bytes_per_session
        wished = cost.shared_memory_bytes
        if own is not None and wished > own:
            name = "shared_memory_bytes_per_session"
            return ResourceLimitError(name, wished=wished, free=own, limit=own)
        for one in self.allowances():
            wished = getattr(cost, one.resource)
            if wished > one.free:
                return ResourceLimitError(
                    one.resource, wished=wished, free=one.free, limit=one.limit
                )
        return None

    def allowances(self) -> tuple[Allowance, ...]:
        """Every limit, and what is free of it now."""
        return tuple(
            Allowance(resource, limit, limit - self._used[resource])
            for resource, name in _LIMITS.items()
            for limit in (getattr(self.limits, name) if name else self._machine[resource],)
        )

    @property
    def sessions(self) -> tuple[str, ...]:
        """The IDs of the living sessions."""
        return tuple(self._reserved)


def _parts(cost: Cost) -> dict[str, int]:
    return {resource: getattr(cost, resource) for resource in _LIMITS}


def _nobody_listens() -> None:
    """What ``on_change`` is until somebody does."""
