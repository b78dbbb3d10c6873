"""What processes use of the machine, as the kernel counts it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_BLOCK_BYTES = 512  # stat(2)


def cpu_ns(pids: Iterable[int]) -> int:
    """The CPU time of all the processes' threads so far, those that have ended included."""
    return sum(time.clock_gettime_ns(_clock(pid)) for pid in pids)


def proportional_bytes(pids: Iterable[int]) -> int:
    """The processes' memory, each page that several share counted in parts (PSS)."""
    return sum(_pss(pid) for pid in pids)


def shared_bytes(pids: Iterable[int]) -> int:
    """What the memfds that the processes hold take up, each counted once, by its pages."""
    held = {}
    for pid in pids:
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with suppress(FileNotFoundError):  # it has been closed meanwhile
                if os.readlink(entry).startswith("/memfd:"):
                    status = entry.stat()
                    held[status.st_ino] = status.st_blocks * _BLOCK_BYTES
    return sum(held.values())


def _clock(pid: int) -> int:
    """The CPU-time clock of a process: ``clock_getcpuclockid(3)``, which Python doesn't have."""
    return (~pid << 3) | 2


def _pss(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", (_PROC / str(pid) / "smaps_rollup").read_text(), re.M)
    return int(found[1]) * 1024 if found else 0
