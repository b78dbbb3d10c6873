"""What a node's process may use at most, and how the kernel is told.

Memory is limited by a control group where the service has one of its own to divide, and by
``RLIMIT_DATA`` elsewhere (``memory_limiter``). Shared memory counts against neither: it has a
budget of its own.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from enum import StrEnum
from pathlib import Path

import msgspec

from penstock.errors import ResourceLimitError, SupervisionError
from penstock.executors.multiprocess import cgroup
from penstock.manifest import Capacity

CORE_DUMPS = "PENSTOCK_CORE_DUMPS"
"""Set to 1, this environment variable lets node processes that crash leave core dumps."""
LAST_WORDS_BYTES = 16 << 20
"""What a process that has reached its limit may use besides, to say so."""
_DATA = "VmData:"


class MemoryLimiter(StrEnum):
    """What keeps a node's process within its memory.

    ``CGROUP`` counts what the process and its children use, and kills them all where it is too
    much; with ``RLIMIT_DATA`` each process gets a ``MemoryError``.
    """

    CGROUP = "cgroup"
    RLIMIT_DATA = "RLIMIT_DATA"


class Allowance(msgspec.Struct, frozen=True):
    """What a node's process may use; None: nothing limits it.

    ``memory_bytes`` come on top of what it begins with, and of the ``shared_bytes`` of shared
    memory that it may own.
    """

    memory_bytes: int | None = None
    shared_bytes: int = 0
    open_files: int | None = None


UNLIMITED = Allowance()


def memory_limiter() -> MemoryLimiter:
    """The one that is in force for the sessions of this process."""
    return MemoryLimiter.RLIMIT_DATA if cgroup.base() is None else MemoryLimiter.CGROUP


def confine(allowance: Allowance, group: cgroup.NodeGroup | None) -> None:
    """Limit this process for good, and what it will start or exec."""
    if os.environ.get(CORE_DUMPS) != "1":
        _set(resource.RLIMIT_CORE, 0, hard=resource.getrlimit(resource.RLIMIT_CORE)[1])
    if allowance.open_files is not None:
        _set(resource.RLIMIT_NOFILE, allowance.open_files, hard=allowance.open_files)
    if group is not None:
        group.enter()
    elif allowance.memory_bytes is not None:
        nbytes = _data_bytes() + allowance.memory_bytes
        _set(resource.RLIMIT_DATA, nbytes, hard=nbytes + LAST_WORDS_BYTES)


def confine_memory_of(pid: int, allowance: Allowance, group: cgroup.NodeGroup | None) -> None:
    """Limit the memory of another process, which runs already."""
    if group is not None:
        group.enter(pid)
    elif allowance.memory_bytes is not None:
        nbytes = _data_bytes(pid) + allowance.memory_bytes
        resource.prlimit(pid, resource.RLIMIT_DATA, (nbytes, nbytes + LAST_WORDS_BYTES))


class SessionLimits:
    """The groups of a session's nodes, where nodes are limited by groups."""

    def __init__(self) -> None:
        self._group: cgroup.SessionGroup | None = None

    def group_for(self, allowance: Allowance) -> cgroup.NodeGroup | None:
        """A new group for a node's process, where that is what limits its memory.

        Raises ``OSError`` where it can't be made.
        """
        base = cgroup.base() if allowance.memory_bytes is not None else None
        if base is None or allowance.memory_bytes is None:
            return None
        if self._group is None:
            self._group = cgroup.SessionGroup(base)
        group = self._group.add_node()
        group.limit_memory(allowance.memory_bytes + allowance.shared_bytes)
        return group

    def end(self, limit_s: float) -> None:
        """Kill what is left in the groups and remove them; what can't be is left to a sweep."""
        if self._group is not None:
            try:
                self._group.end(limit_s)
            except OSError as exc:
                print(f"a control group is left behind: {exc}", file=sys.stderr)


def allow_last_words() -> None:
    """Where memory is limited by ``RLIMIT_DATA``, have a little more of it, to report that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def shortage(error: OSError) -> str:
    """What the system has no more of, where that is why a call failed."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    reasons = {
        errno.EMFILE: f"process {os.getpid()} has all {soft} files open that it may (ulimit -n)",
        errno.ENFILE: "the system has all the files open that it may (fs.file-max)",
        errno.ETOOMANYREFS: f"more than {soft} descriptors are on their way between this user's "
        "processes (ulimit -n)",
        errno.EAGAIN: "the user, or the service's control group, has all the processes that it "
        "may (ulimit -u, pids.max)",
        errno.ENOMEM: "the system has no memory left",
    }
    reason = reasons.get(error.errno or 0)
    return str(error) if reason is None else f"{reason}: {error}"


def unavailable(error: OSError) -> ResourceLimitError | SupervisionError:
    """The same as what a session ends with that can't be initialised."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    match error.errno:
        case errno.EMFILE:
            name = f"open files of process {os.getpid()} (ulimit -n)"
        case errno.ETOOMANYREFS:
            name = "descriptors on their way (ulimit -n)"
        case errno.EAGAIN:
            name, limit = "processes (ulimit -u, pids.max)", Capacity.here().processes
        case _:
            return SupervisionError(f"it can't be initialised: {shortage(error)}")
    return ResourceLimitError(name, wished=1, free=0, limit=limit)


def _data_bytes(pid: int | None = None) -> int:
    """What ``RLIMIT_DATA`` counts of a process, this one without ``pid``.

    Raises ``ProcessLookupError`` for one that has ended, and is yet to be reaped.
    """
    status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="utf-8").splitlines()
    line = next((line for line in status if line.startswith(_DATA)), None)
    if line is None:
        raise ProcessLookupError(f"process {pid} has ended")
    return int(line.split()[1]) << 10


def _set(which: int, soft: int, *, hard: int) -> None:
    """Set a limit, or as much of it as is allowed already."""
    allowed = resource.getrlimit(which)[1]
    if allowed != resource.RLIM_INFINITY:
        hard = allowed if hard == resource.RLIM_INFINITY else min(hard, allowed)
        soft = min(soft, hard)
    resource.setrlimit(which, (soft, hard))
