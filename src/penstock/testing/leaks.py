"""What a piece of code leaves behind: processes, shared memory, sockets, descriptors, threads.

Linux only, like the rest: read from ``/proc``. The program's zygote, which all sessions share,
is not a leak; everything beneath it is.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.testing.processes import (
    Process,
    descends,
    descriptors_of,
    one_ends,
    process_table,
)

_PROC = Path("/proc")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # it is looked at, not written to
_Foreign = threading._DummyThread
"""A library's own thread, which has called into Python: nobody here can end it."""
PATIENCE_S = 5.0
"""How long what is ending may take to be gone."""
REAPING_S = 1.0
"""How long whoever has started one that has ended may take to see that."""
_LOOK_S = 0.005
_LOOKS = 3
_NAMED = 8
"""Columns of ``/proc/net/unix`` where the last one, the name, is there."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What this process holds at one moment."""

    processes: Mapping[int, Process]
    shared_memory: frozenset[str]
    sockets: frozenset[str]
    descriptors: Mapping[int, str]
    threads: frozenset[threading.Thread]
    zygote: int | None

    @classmethod
    def take(cls) -> Snapshot:
        return cls(
            processes={process.pid: process for process in descendants()},
            shared_memory=shared_memory(),
            sockets=frozenset(_unix_sockets()),
            descriptors=dict(descriptors_of()),
            threads=frozenset(threading.enumerate()),
            zygote=LAUNCHER.pid,
        )


@dataclass(frozen=True, slots=True)
class Leaks:
    """What is there that was not there before, in words.

    ``sockets`` are names of Unix sockets: paths, and abstract ones with an ``@`` in front.
    """

    processes: tuple[str, ...] = ()
    shared_memory: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    descriptors: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, kind.name) for kind in fields(self))

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
            shared_memory=tuple(sorted(unclaimed(now.shared_memory - self.before.shared_memory))),
            sockets=tuple(sorted(_unheld(now.sockets - self.before.sockets))),
            descriptors=tuple(self._new_descriptors(now)),
            threads=tuple(thread.name for thread in threads),
        )

    def _remaining_processes(self, deadline: float) -> list[Process]:
        reaped_by = min(time.monotonic() + REAPING_S, deadline)
        while True:
            left = [one for one in descendants() if one.pid not in self.before.processes]
            ending = [one for one in left if not one.is_zombie]
            if ending and one_ends(ending, deadline):
                reaped_by = min(time.monotonic() + REAPING_S, deadline)
            elif not left or ending or time.monotonic() >= reaped_by:
                return left
            else:
                time.sleep(_LOOK_S)

    def _remaining_threads(self, deadline: float) -> list[threading.Thread]:
        known = {*self.before.threads, threading.current_thread()}
        found = threading.enumerate()
        new = [one for one in found if one not in known and type(one) is not _Foreign]
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


def shared_memory() -> frozenset[str]:
    """The names of the files in ``/dev/shm``."""
    return frozenset(_shared_inodes())


def unclaimed(names: frozenset[str]) -> frozenset[str]:
    """Those of them that no process outside has mapped: all programs share one ``/dev/shm``.

    Outside are those that this one hasn't started. By inode: glibc maps a semaphore before it
    gives its file the final name.
    """
    if not names:
        return names
    claimed = _inodes_of_others(_mapped_inodes)
    now = _shared_inodes()
    return frozenset(name for name in names & now.keys() if now[name] not in claimed)


def _shared_inodes() -> dict[str, int]:
    if not _SHARED_MEMORY.is_dir():
        return {}
    with os.scandir(_SHARED_MEMORY) as entries:
        return {entry.name: entry.inode() for entry in entries}


def _mapped_inodes(pid: int) -> Iterator[int]:
    try:
        lines = (_PROC / str(pid) / "maps").read_text(errors="replace").splitlines()
    except OSError:
        return  # it has ended meanwhile, or is another user's
    for line in lines:
        _range, _mode, _offset, _device, inode, *path = line.split(maxsplit=5)
        if path and path[0].startswith(f"{_SHARED_MEMORY}/"):
            yield int(inode)


def _unix_sockets() -> dict[str, int]:
    """The inodes of the sockets that have names, by those."""
    lines = (_PROC / "net" / "unix").read_text(errors="replace").splitlines()
    split = (line.split(maxsplit=7) for line in lines[1:])
    return {fields[7]: int(fields[6]) for fields in split if len(fields) == _NAMED}


def _unheld(names: frozenset[str]) -> frozenset[str]:
    """Without what a process outside has open: all programs share one list of sockets.

    One that another program has just opened, or is about to close, looks as if nobody had it; it
    has been seen by the next look, or is gone. What is left behind stays.
    """
    found = _unheld_now(names)
    for _ in range(_LOOKS):
        if not found:
            break
        time.sleep(_LOOK_S)
        found &= _unheld_now(names)
    return frozenset(name for name, _ in found)


def _unheld_now(names: frozenset[str]) -> set[tuple[str, int]]:
    """Names that nobody outside has open, as far as one look can tell, and their inodes."""
    if not names:
        return set()
    held = _inodes_of_others(_socket_inodes)
    now = _unix_sockets()
    return {(name, now[name]) for name in names & now.keys() if now[name] not in held}


def _socket_inodes(pid: int) -> Iterator[int]:
    for _, target in descriptors_of(pid):
        if target.startswith("socket:["):
            yield int(target[len("socket:[") : -1])


def _inodes_of_others(inodes_of: Callable[[int], Iterable[int]]) -> set[int]:
    """What processes have that are neither this one nor descend from it."""
    own = {os.getpid(), *(process.pid for process in descendants())}
    return {inode for pid in process_table().keys() - own for inode in inodes_of(pid)}


def descendants() -> list[Process]:
    """What this process has started, directly or not, except its zygote.

    What has lost its parents counts too, where it is still in the zygote's POSIX session.
    Zombies are those that this process has yet to reap: others are their parents' affair.
    """
    table = process_table()
    own, zygote = os.getpid(), LAUNCHER.pid
    return [
        process
        for process in table.values()
        if process.pid not in (own, zygote)
        and (process.parent == own or not process.is_zombie)
        and (descends(process, own, table) or (zygote is not None and process.session == zygote))
    ]
