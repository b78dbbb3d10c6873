"""Control groups, version 2: a node and its children as one, to limit, to judge and to kill.

A service that was given a group of its own (systemd: ``Delegate=yes``) moves itself to a leaf
of it and divides the rest: a group for each session, and in it one for each node. Whose group
lacks the memory controller, or can't be written, has none: ``base`` is None there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_LEAF = "penstock-front"
_SESSION = "penstock-session-"
_PROCS, _KILL, _EVENTS = "cgroup.procs", "cgroup.kill", "cgroup.events"
_CHILDREN_GET = "cgroup.subtree_control"
_MEMORY = "memory"


def delegate() -> Path | None:
    """Make this process's group one that can be divided, for a service that is starting.

    The process moves to a leaf of the group. Gives ``base()``; where that can't be had, nothing
    has changed: other processes may be in the group, or somebody else may own it.
    """
    own = _own_group()
    if own is None or own.name == _LEAF or not _is_ours(own):
        return base()
    leaf = own / _LEAF
    try:
        leaf.mkdir(exist_ok=True)
        _write(leaf / _PROCS, "0")
        _write(own / _CHILDREN_GET, f"+{_MEMORY}")
    except OSError:
        with contextlib.suppress(OSError):
            _write(own / _PROCS, "0")
            leaf.rmdir()
    return base()


def base() -> Path | None:
    """The group below which sessions get theirs, with their memory limited; or None."""
    own = _own_group()
    if own is None or own.name != _LEAF:
        return None
    divided = own.parent
    return divided if _MEMORY in _words(divided / _CHILDREN_GET) and _is_ours(divided) else None


class SessionGroup:
    """The group of a session's nodes, below ``parent``; locked for as long as it is in use."""

    def __init__(self, parent: Path) -> None:
        self.path = parent / f"{_SESSION}{os.getpid()}-{time.monotonic_ns()}"
        self.path.mkdir()
        self._lock = _locked(self.path)
        if _MEMORY in _words(self.path / "cgroup.controllers"):
            _write(self.path / _CHILDREN_GET, f"+{_MEMORY}")
        self._made = 0

    def add_node(self) -> NodeGroup:
        self._made += 1
        return NodeGroup(self.path / f"node-{self._made}")

    def end(self, limit_s: float) -> None:
        """Kill what is left in it, and remove it."""
        try:
            _clear(self.path, limit_s)
        finally:
            os.close(self._lock)


class NodeGroup:
    """The group of one node's process and all that it starts, whatever those do to get away."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self.limit_bytes: int | None = None

    def limit_memory(self, nbytes: int) -> None:
        """What all processes in it may use together; beyond that, they are killed together."""
        self.limit_bytes = nbytes
        _write(self.path / "memory.max", str(nbytes))
        _write(self.path / "memory.oom.group", "1")
        swap = self.path / "memory.swap.max"
        if swap.exists():  # not where the kernel has no swap accounting
            _write(swap, "0")

    def enter(self, pid: int = 0) -> None:
        """Move a process into it: this one, where no other is named."""
        _write(self.path / _PROCS, str(pid))

    def kill(self) -> None:
        """SIGKILL to everything in it."""
        _write(self.path / _KILL, "1")

    @property
    def exceeded_bytes(self) -> int | None:
        """Its limit, where the kernel killed in it because that was reached."""
        killed = _events(self.path / "memory.events").get("oom_kill", 0)
        return self.limit_bytes if killed else None


def find_leftovers() -> list[Path]:
    """Groups of sessions that nobody supervises any more, of services that were killed."""
    return [group for group in _session_groups() if not _is_in_use(group)]


def end_group_of(supervisor: int, limit_s: float) -> None:
    """Clear what a supervisor had made and was killed before it could remove."""
    divided = base()
    for group in divided.glob(f"{_SESSION}{supervisor}-*") if divided is not None else ():
        _clear(group, limit_s)


def sweep(leftovers: Iterable[Path], limit_s: float) -> list[Path]:
    """End what is left in these groups and remove them; gives those that are gone.

    A group whose supervisor lives is left alone.
    """
    gone = []
    for group in leftovers:
        if not _is_in_use(group):
            with contextlib.suppress(OSError):  # another user's, or somebody was faster
                _clear(group, limit_s)
            if not group.exists():
                gone.append(group)
    return gone


@cache
def mount_point() -> Path | None:
    """Where the hierarchy of version 2 is mounted."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mounted, _, kind = line.partition(" - ")
        if kind.split()[0] == "cgroup2":
            return Path(mounted.split()[4])
    return None


def _own_group() -> Path | None:
    root = mount_point()
    if root is None:
        return None
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        number, _, path = line.split(":", 2)
        group = root / path.lstrip("/")
        if number == "0" and group.is_dir():
            return group
    return None


def _session_groups() -> Iterator[Path]:
    root = mount_point()
    for folder, names, _ in os.walk(root) if root is not None else ():
        for name in names:
            if name.startswith(_SESSION):
                yield Path(folder) / name


def _is_ours(group: Path) -> bool:
    """Whether this process may divide a group, and its memory be limited there."""
    may = os.access(group, os.W_OK) and os.access(group / _CHILDREN_GET, os.W_OK)
    return may and _MEMORY in _words(group / "cgroup.controllers")


def _locked(group: Path) -> int:
    """The descriptor of a group's folder, with a lock that ends with its owner."""
    fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _is_in_use(group: Path) -> bool:
    try:
        os.close(_locked(group))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _clear(group: Path, limit_s: float) -> None:
    """Kill everything in a group and below it, and remove it once all have ended."""
    _write(group / _KILL, "1")
    _wait_until_empty(group, limit_s)
    for node in [path for path in group.iterdir() if path.is_dir()]:
        node.rmdir()
    group.rmdir()


def _wait_until_empty(group: Path, limit_s: float) -> None:
    """The kernel says when the file changes: the last process has been reaped."""
    deadline = time.monotonic() + limit_s
    with open(group / _EVENTS, encoding="utf-8") as events:
        changed = select.poll()
        changed.register(events, select.POLLPRI)
        while _parsed(events.read()).get("populated") and (left := deadline - time.monotonic()) > 0:
            changed.poll(left * 1000)
            events.seek(0)


def _events(path: Path) -> dict[str, int]:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except OSError:  # without the memory controller
        return {}


def _parsed(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in map(str.split, text.splitlines())}


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []


def _write(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
