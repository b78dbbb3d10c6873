"""What programs that are gone have left on this machine, and its end.

Every process that a program's sessions start, however far down, has in its environment which
program that is. What names a program that lives is in use, and is never touched. So is a
control group whose supervisor lives. In another container, numbers of processes mean others:
what is there is left to those who look from there.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from penstock.executors.multiprocess import cgroup

PROGRAM = "PENSTOCK_PROGRAM"
"""The environment variable: the number of the program's process, and when that started."""
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A process whose program is gone; ``started`` tells it from a later one of its number."""

    pid: int
    started: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Processes and control groups that no living program uses."""

    processes: tuple[Orphan, ...]
    groups: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.processes or self.groups)

    def __str__(self) -> str:
        found = [*map(str, self.processes), *(f"control group {path}" for path in self.groups)]
        return ", ".join(found)


def this_program() -> str:
    """How the processes of this program's sessions say whose they are."""
    pid = os.getpid()
    return f"{pid}:{_started(pid)}"


def find_leftovers() -> Leftovers:
    """What is there of this user's that nobody uses any more."""
    return Leftovers(tuple(_orphans()), tuple(cgroup.find_leftovers()))


def sweep(found: Leftovers, limit_s: float) -> Leftovers:
    """Kill and remove it; gives what is still there after ``limit_s`` seconds."""
    _kill(found.processes, limit_s)
    gone = set(cgroup.sweep(found.groups, limit_s))
    left = tuple(orphan for orphan in found.processes if _is_there(orphan))
    return Leftovers(left, tuple(group for group in found.groups if group not in gone))


def _orphans() -> Iterator[Orphan]:
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        pid = int(entry.name)
        program = _program_of(pid) if _has_our_numbers(pid) else None
        started = _started(pid)
        if program is not None and started is not None and not _lives(program):
            yield Orphan(pid, started, _name(pid))


def _has_our_numbers(pid: int) -> bool:
    """Whether a process is in this one's namespace of process numbers; False if it hides that."""
    try:
        own, other = ((_PROC / name / "ns/pid").readlink() for name in ("self", str(pid)))
    except OSError:
        return False
    return own == other


def _program_of(pid: int) -> str | None:
    """What its environment says; None for what isn't ours, or is another user's."""
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    prefix = f"{PROGRAM}=".encode()
    said = [one.removeprefix(prefix) for one in variables if one.startswith(prefix)]
    return said[-1].decode(errors="replace") if said else None


def _lives(program: str) -> bool:
    pid, _, started = program.partition(":")
    if not (pid.isdecimal() and started.isdecimal()):
        return True  # not by us: leave it alone
    return _started(int(pid)) == int(started)


def _started(pid: int) -> int | None:
    """Clock ticks since boot; None for a process that isn't there, or has ended."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = line[line.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"


def _is_there(orphan: Orphan) -> bool:
    return _started(orphan.pid) == orphan.started


def _kill(orphans: Iterable[Orphan], limit_s: float) -> None:
    """A pidfd is the process and no later one: what it is, is looked at when it is held."""
    deadline = time.monotonic() + limit_s
    with ExitStack() as held:
        pidfds = []
        for orphan in orphans:
            try:
                pidfd = os.pidfd_open(orphan.pid)
                held.callback(os.close, pidfd)
                if _is_there(orphan):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    pidfds.append(pidfd)
            except OSError:
                continue  # it has ended
        for pidfd in pidfds:
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            ended.poll(max(deadline - time.monotonic(), 0) * 1000)
