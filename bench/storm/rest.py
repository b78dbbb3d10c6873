"""The service at rest, between two batches of sessions: what remains, and what it holds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.storm.service import Service
from penstock.testing import Process, Usage
from penstock.testing.leaks import shared_memory, unclaimed
from penstock.testing.processes import one_ends

PATIENCE_S = 5.0
"""How long what is ending may take to be gone."""
DESCRIPTORS = 4
"""How many more the service may hold at the end of a run than at its beginning."""
THREADS = 1
MEMORY_SHARE = 0.05
MEMORY_BYTES = 4 << 20
"""What an allocator's arenas may come to, with the share above."""


@dataclass(frozen=True, slots=True)
class Rest:
    """One look: what the service's processes hold, and what ought not to be there."""

    sessions: int
    usage: Usage
    left: tuple[str, ...]


class Watch:
    """Looks at a service; what it has when it is made is what it may have at rest."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._at_rest = Counter(one.name for one in service.tree.look())
        self._zombies: set[tuple[int, int]] = set()
        self._shared = shared_memory()

    def rest(self, sessions: int) -> Rest:
        """Look, once what is ending has had time to end. Blocks for so long."""
        left = [str(process) for process in self._remaining()]
        left += self._unreaped()
        left += [f"file {name}" for name in self._service.files()]
        left += [f"shared memory {name}" for name in unclaimed(shared_memory() - self._shared)]
        return Rest(sessions, self._service.tree.usage(), tuple(left))

    def _remaining(self) -> list[Process]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            there = [one for one in self._service.tree.look() if not one.is_zombie]
            left = self._beyond(there)
            if not left or not one_ends(there, deadline):
                return left

    def _beyond(self, there: Sequence[Process]) -> list[Process]:
        """Those that there are more of than at rest, the youngest of each name."""
        allowed = Counter(self._at_rest)
        left = []
        for process in there:
            if allowed[process.name]:
                allowed[process.name] -= 1
            else:
                left.append(process)
        return left

    def _unreaped(self) -> list[str]:
        """What had ended at the last look already, and is still to be reaped."""
        there = self._service.tree.look()
        zombies = {(one.pid, one.started): str(one) for one in there if one.is_zombie}
        before, self._zombies = self._zombies, set(zombies)
        return [shown for key, shown in zombies.items() if key in before]


def growth(rests: Sequence[Rest]) -> list[str]:
    """What the last third of a run has more of than the first, beyond what is allowed."""
    third = max(len(rests) // 3, 1)
    first, last = _typical(rests[:third]), _typical(rests[-third:])
    allowed = Usage(DESCRIPTORS, THREADS, round(first.memory_bytes * MEMORY_SHARE) + MEMORY_BYTES)
    return [
        f"{name}: {getattr(first, name)} in the first third, {getattr(last, name)} in the last"
        for name in ("descriptors", "threads", "memory_bytes")
        if getattr(last, name) - getattr(first, name) > getattr(allowed, name)
    ]


def _typical(rests: Sequence[Rest]) -> Usage:
    return Usage(
        round(median(one.usage.descriptors for one in rests)),
        round(median(one.usage.threads for one in rests)),
        round(median(one.usage.memory_bytes for one in rests)),
    )
