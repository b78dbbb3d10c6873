"""Another program and everything that it started, seen from outside: a service, by its PID."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.testing.processes import (
    Process,
    Usage,
    descends,
    one_ends,
    process_of,
    process_table,
    usage_of,
)


class ProcessTree:
    """A process and its descendants, which are known on once they have been seen.

    So those are found too that lose their parents after a look, as when the root is killed.
    """

    def __init__(self, root: int) -> None:
        """Raises ``ProcessLookupError`` where there is no such process."""
        found = process_of(root)
        if found is None:
            raise ProcessLookupError(f"no process {root}")
        self.root = found
        self._seen = {root: found.started}

    def look(self) -> list[Process]:
        """Everything of the tree that is there now, the root first where it is."""
        table = process_table()
        known = [pid for pid in self._seen if self._is_seen(table.get(pid))]
        found = {
            process.pid: process
            for process in table.values()
            if process.pid in known or any(descends(process, pid, table) for pid in known)
        }
        self._seen.update((process.pid, process.started) for process in found.values())
        return sorted(found.values(), key=lambda one: (one.pid != self.root.pid, one.started))

    def named(self, prefix: str) -> list[Process]:
        """Those of it whose names begin so, such as ``pn:``."""
        return [process for process in self.look() if process.name.startswith(prefix)]

    def usage(self, includes: Callable[[Process], bool] = lambda _: True) -> Usage:
        """What those of the tree hold together that ``includes`` says."""
        return usage_of(process.pid for process in self.look() if includes(process))

    def remaining(
        self, patience_s: float, stays: Callable[[Process], bool] = lambda _: False
    ) -> list[Process]:
        """What runs of the tree, but what ``stays``, after at most ``patience_s`` seconds.

        What has ended and is yet to be reaped runs no more; ``look`` shows it.
        """
        deadline = time.monotonic() + patience_s
        while True:
            left = [one for one in self.look() if not one.is_zombie and not stays(one)]
            if not left or not one_ends(left, deadline):
                return left

    def _is_seen(self, process: Process | None) -> bool:
        return process is not None and self._seen[process.pid] == process.started
