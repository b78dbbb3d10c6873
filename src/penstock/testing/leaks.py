"""What a piece of code leaves behind: processes, shared memory, descriptors, threads.

Linux only, like the rest: read from ``/proc``. The program's zygote, which all sessions share,
is not a leak; everything beneath it is.
"""

from __future__ import annotations

import gc
import os
import select
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from penstock.executors.multiprocess.launcher import LAUNCHER

_PROC = Path("/proc")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # it is looked at, not written to
PATIENCE_S = 5.0
"""How long what is ending may take to be gone."""


@dataclass(frozen=True, slots=True)
class Process:
    """A line of the process table; ``session`` is the ID of its POSIX session."""

    pid: int
    parent: int
    session: int
    name: str
    is_zombie: bool

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}]{' (not reaped)' if self.is_zombie else ''}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What this process holds at one moment."""

    processes: Mapping[int, Process]
    shared_memory: frozenset[str]
    descriptors: Mapping[int, str]
    threads: frozenset[threading.Thread]
    zygote: int | None

    @classmethod
    def take(cls) -> Snapshot:
        return cls(
            processes={process.pid: process for process in descendants()},
            shared_memory=frozenset(_shared_memory()),
            descriptors=dict(_descriptors()),
            threads=frozenset(threading.enumerate()),
            zygote=LAUNCHER.pid,
        )


@dataclass(frozen=True, slots=True)
class Leaks:
    """What is there that was not there before, in words."""

    processes: tuple[str, ...] = ()
    shared_memory: tuple[str, ...] = ()
    descriptors: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.processes or self.shared_memory or self.descriptors or self.threads)

    def __str__(self) -> str:
        kinds = ((kind.name, getattr(self, kind.name)) for kind in fields(self))
        return "; ".join(f"{name}: {', '.join(found)}" for name, found in kinds if found)


@dataclass(slots=True)
class LeakCheck:
    """Compares with the moment in which it was made.

    ::

        check = LeakCheck()
        ...
        assert not (leaks := check.leaks()), leaks
    """

    before: Snapshot = field(default_factory=Snapshot.take)

    def leaks(self, patience_s: float = PATIENCE_S) -> Leaks:
        """What was left behind, once what is ending has had ``patience_s`` seconds to end.

        What only a cycle of garbage holds, as a view on shared memory that an exception's
        frames refer to, is collected and is no leak.
        """
        deadline = time.monotonic() + patience_s
        processes = self._remaining_processes(deadline)
        threads = self._remaining_threads(deadline)
        now = Snapshot.take()
        if any(self._new_descriptors(now)):
            gc.collect()
            now = Snapshot.take()
        return Leaks(
            processes=tuple(str(process) for process in processes),
            shared_memory=tuple(sorted(_unclaimed(now.shared_memory - self.before.shared_memory))),
            descriptors=tuple(self._new_descriptors(now)),
            threads=tuple(thread.name for thread in threads),
        )

    def _remaining_processes(self, deadline: float) -> list[Process]:
        while True:
            left = [one for one in descendants() if one.pid not in self.before.processes]
            ending = [one for one in left if not one.is_zombie]
            if not ending or not _one_ends(ending, deadline):
                return left

    def _remaining_threads(self, deadline: float) -> list[threading.Thread]:
        new = [one for one in threading.enumerate() if one not in self.before.threads]
        for thread in new:
            thread.join(max(deadline - time.monotonic(), 0))
        return [thread for thread in new if thread.is_alive()]

    def _new_descriptors(self, now: Snapshot) -> Iterator[str]:
        """Those with a new number or a new target; one socket leads to a new zygote."""
        to_zygote = now.zygote is not None and now.zygote != self.before.zygote
        for number, target in now.descriptors.items():
            if self.before.descriptors.get(number) == target:
                continue
            if to_zygote and target.startswith("socket:"):
                to_zygote = False
                continue
            yield f"{number} → {target}"


def _shared_memory() -> dict[str, int]:
    """The inodes of the files there, by their names."""
    if not _SHARED_MEMORY.is_dir():
        return {}
    with os.scandir(_SHARED_MEMORY) as entries:
        return {entry.name: entry.inode() for entry in entries}


def _unclaimed(names: frozenset[str]) -> frozenset[str]:
    """Without what a process outside has mapped: all programs share one ``/dev/shm``.

    By inode: glibc maps a semaphore before it gives its file the final name.
    """
    if not names:
        return names
    own = {os.getpid(), *(process.pid for process in descendants())}
    foreign = {process.pid for process in _process_table()} - own
    claimed = {inode for pid in foreign for inode in _mapped_inodes(pid)}
    now = _shared_memory()
    return frozenset(name for name in names & now.keys() if now[name] not in claimed)


def _mapped_inodes(pid: int) -> Iterator[int]:
    try:
        lines = (_PROC / str(pid) / "maps").read_text(errors="replace").splitlines()
    except OSError:
        return  # it has ended meanwhile, or is another user's
    for line in lines:
        _range, _mode, _offset, _device, inode, *path = line.split(maxsplit=5)
        if path and path[0].startswith(f"{_SHARED_MEMORY}/"):
            yield int(inode)


def descendants() -> list[Process]:
    """What this process has started, directly or not, except its zygote.

    What has lost its parents counts too, where it is still in the zygote's POSIX session.
    Zombies are those that this process has yet to reap: others are their parents' affair.
    """
    table = {process.pid: process for process in _process_table()}
    own, zygote = os.getpid(), LAUNCHER.pid
    return [
        process
        for process in table.values()
        if process.pid not in (own, zygote)
        and (process.parent == own or not process.is_zombie)
        and (_descends(process, own, table) or (zygote is not None and process.session == zygote))
    ]


def _descends(process: Process, ancestor: int, table: Mapping[int, Process]) -> bool:
    at: Process | None = process
    while at is not None and at.parent != ancestor:
        at = table.get(at.parent)
    return at is not None


def _process_table() -> Iterator[Process]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            name = line[line.index("(") + 1 : line.rindex(")")]
            state, parent, _group, session = line[line.rindex(")") + 2 :].split()[:4]
            yield Process(int(entry.name), int(parent), int(session), name, state == "Z")


def _one_ends(processes: Iterable[Process], deadline: float) -> bool:
    """Wait until one of them has ended, by the kernel's word; False when time is up."""
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


def _descriptors() -> Iterator[tuple[int, str]]:
    for number in os.listdir("/proc/self/fd"):
        try:
            yield int(number), os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # it was the listing's own
