"""Keeps the ends of a hop on chosen cores.

Waking a process on another core takes several times as long as on one's own, and which it is
the scheduler decides anew from run to run: unpinned, a ratio would measure its luck.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from bench.hops.rig import Rig


def two_cores() -> tuple[int, int]:
    """Two of the cores that this process may use; the same twice where there is one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


@contextmanager
def pinned(rigs: Iterable[Rig], cores: tuple[int, int]) -> Iterator[None]:
    """Sources on the first core, targets on the second; this process, if neither, on the first."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cores[:1])
        for rig in rigs:
            for pid, core in zip(rig.pids, cores, strict=True):
                _pin(pid, core)
        yield
    finally:
        os.sched_setaffinity(0, before)


def _pin(pid: int, core: int) -> None:
    """All threads of a process, and those that they start later; this one's main thread only."""
    with suppress(ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
        threads = ["0"] if pid == os.getpid() else os.listdir(f"/proc/{pid}/task")
        for thread in threads:
            os.sched_setaffinity(int(thread), {core})
