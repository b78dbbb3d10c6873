"""The process table, and what single processes hold, read from ``/proc``."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_RSS = re.compile(r"^VmRSS:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Process:
    """A line of the process table.

    ``session`` is the ID of its POSIX session; ``started`` its start in clock ticks since boot,
    which tells it from another process that got its number later.
    """

    pid: int
    parent: int
    session: int
    started: int
    name: str
    is_zombie: bool

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}]{' (not reaped)' if self.is_zombie else ''}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What some processes hold together; shared pages count in parts (PSS)."""

    descriptors: int
    threads: int
    memory_bytes: int


def process_table() -> dict[int, Process]:
    """Every process that can be seen, by its number."""
    found = (process_of(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return {process.pid: process for process in found if process is not None}


def process_of(pid: int) -> Process | None:
    """One process; None where there is none of that number."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = line[line.index("(") + 1 : line.rindex(")")]
    fields = line[line.rindex(")") + 2 :].split()
    state, parent, _group, session = fields[:4]
    return Process(pid, int(parent), int(session), int(fields[19]), name, state == "Z")


def descends(process: Process, ancestor: int, table: Mapping[int, Process]) -> bool:
    """Whether ``ancestor`` is its parent, or that of one of its parents."""
    at: Process | None = process
    while at is not None and at.parent != ancestor:
        at = table.get(at.parent)
    return at is not None


def one_ends(processes: Iterable[Process], deadline: float) -> bool:
    """Wait until one of them has ended, by the kernel's word; False when time is up.

    ``deadline`` is of ``time.monotonic``.
    """
    poll = select.poll()
    pidfds: list[int] = []
    try:
        for process in processes:
            try:
                pidfds.append(os.pidfd_open(process.pid))
            except ProcessLookupError:
                return True
            poll.register(pidfds[-1], select.POLLIN)
        return bool(poll.poll(max(deadline - time.monotonic(), 0) * 1000))
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def descriptors_of(pid: int | str = "self") -> Iterator[tuple[int, str]]:
    """A process's descriptors, and what each is open on, as far as they can be seen."""
    directory = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(directory)
    except (FileNotFoundError, PermissionError):
        return
    for number in numbers:
        try:
            yield int(number), os.readlink(f"{directory}/{number}")
        except (FileNotFoundError, PermissionError):
            continue  # closed meanwhile, as the listing's own is; or not for us to see


def usage_of(pids: Iterable[int]) -> Usage:
    """What processes hold together; one that ends meanwhile counts for nothing."""
    descriptors = threads = memory_bytes = 0
    for pid in pids:
        descriptors += sum(1 for _ in descriptors_of(pid))
        threads += _threads(pid)
        memory_bytes += proportional_bytes(pid)
    return Usage(descriptors, threads, memory_bytes)


def proportional_bytes(pid: int) -> int:
    """Its memory, each page that several share counted in parts; 0 when it has ended.

    Where the kernel tells no shares, all that it has resident.
    """
    found = _PSS.search(_read(pid, "smaps_rollup")) or _RSS.search(_read(pid, "status"))
    return int(found[1]) << 10 if found else 0


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except FileNotFoundError:
        return 0


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
