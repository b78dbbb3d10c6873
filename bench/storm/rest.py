"""The service at rest, between two batches of sessions: what remains, and what it holds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.storm.service import Service
from penstock.testing import Process, Usage
from penstock.testing.leaks import shared_memory, unclaimed
from penstock.testing.processes import one_ends

PATIENCE_S = 5.0
"""How long what is ending may take to be gone, and what is being forked to be there."""
SETTLED_S = 0.3
"""A service whose processes are the same after so long is at rest."""
ALLOWED = {"descriptors": 4, "threads": 1, "memory_bytes": 12 << 20}
"""How much more the service may hold at rest in the last third of a run than in the first.

The memory is what an allocator's arenas come to; a run of 1,000 sessions shows a leak of 12 KiB
for each.
"""


@dataclass(frozen=True, slots=True)
class Rest:
    """One look: what the service's processes hold, and what ought not to be there."""

    sessions: int
    usage: Usage
    left: tuple[str, ...]


class Watch:
    """Looks at a service; what that has come to when this is made is what it may have at rest.

    Making it blocks until then.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._at_rest = self._settled()
        self._zombies: set[tuple[int, int]] = set()
        self._shared = shared_memory()

    def rest(self, sessions: int) -> Rest:
        """Look, once what is ending has had time to end. Blocks for so long."""
        left = [str(process) for process in self._remaining()]
        left += self._unreaped()
        left += [f"file {name}" for name in self._service.files()]
        left += [f"shared memory {name}" for name in unclaimed(shared_memory() - self._shared)]
        self._settled()  # its stock is filled up again
        return Rest(sessions, self._service.tree.usage(), tuple(left))

    def _settled(self) -> Counter[str]:
        """The names of the service's processes: after calls it still forks hosts for its stock."""
        deadline = time.monotonic() + PATIENCE_S
        before, names = None, self._names()
        while names != before and time.monotonic() < deadline:
            time.sleep(SETTLED_S)
            before, names = names, self._names()
        return names

    def _names(self) -> Counter[str]:
        return Counter(one.name for one in self._there())

    def _remaining(self) -> list[Process]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            there = self._there()
            if not self._beyond(there):
                return []
            if not one_ends(there, deadline):
                return self._beyond(self._there())  # one just forked has its name by now

    def _there(self) -> list[Process]:
        return [one for one in self._service.tree.look() if not one.is_zombie]

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


def growth(rests: Sequence[Rest]) -> dict[str, str]:
    """What the last third of a run has more of than the first, beyond what is allowed.

    The least of each third is compared: what a failed session's exceptions hold is given back
    by a later collection of garbage.
    """
    third = max(len(rests) // 3, 1)
    grown = {}
    for name, allowed in ALLOWED.items():
        first, last = (
            min(getattr(rest.usage, name) for rest in part)
            for part in (rests[:third], rests[-third:])
        )
        if last - first > allowed:
            grown[name] = f"{name}: {first} in the first third, {last} in the last"
    return grown
