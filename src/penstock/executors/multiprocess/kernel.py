"""What Linux offers and Python doesn't: parent-death signals, subreapers, descriptors."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import time
from collections.abc import Collection
from pathlib import Path

from penstock.manifest import most_files

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_EXPENDABLE = 500  # of 1000, which is the first to go
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` ends, and end now if it has."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(0)


def go_before_others() -> None:
    """Have the kernel, when it is out of memory, end this process before what started it."""
    try:
        with open("/proc/self/oom_score_adj", "r+") as score:
            wished = max(int(score.read()), _EXPENDABLE)
            score.seek(0)
            score.write(str(wished))
    except OSError:
        return  # not everywhere: then the kernel chooses


def become_subreaper() -> None:
    """Inherit the orphans among one's descendants."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def name_process(name: str) -> None:
    """What ``ps`` and ``top`` show, cut to 15 bytes."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _prctl(_PR_SET_NAME, ctypes.addressof(buffer))


def process_name(pid: int) -> str:
    """The name of a living or unreaped process, as ``name_process`` has set it."""
    return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")


def close_all_but(keep: Collection[int]) -> None:
    """Close every descriptor from 3 up that is not in ``keep``."""
    low = 3
    for fd in sorted(fd for fd in keep if fd >= low):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, max(map(int, os.listdir("/proc/self/fd"))) + 1)


def soft_files() -> int:
    """How many descriptors this process may have for now: its soft limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def allow_files(soft: int | None = None) -> None:
    """Have so many descriptors, or as many as this process may."""
    most = most_files()
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if soft is None else min(soft, most), most))


def watch_child(pid: int) -> int:
    """The pidfd of a child; where none can be had, the child is ended and ``OSError`` raised."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def children() -> list[int]:
    """The living and the unreaped children of this process, adopted ones among them."""
    with open(f"/proc/self/task/{os.getpid()}/children") as listing:
        return [int(pid) for pid in listing.read().split()]


def end_children(keep: Collection[int], limit_s: float) -> None:
    """Kill and reap all children but some, and theirs as they fall to us.

    A process that the kernel can't end in time (it waits for a broken disk, say) is left.
    """
    deadline = time.monotonic() + limit_s
    while (doomed := set(children()) - set(keep)) and time.monotonic() < deadline:
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        for pid in doomed:
            _reap(pid, deadline)


def _reap(pid: int, deadline: float) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        ended.poll(max(deadline - time.monotonic(), 0) * 1000)
        os.waitpid(pid, os.WNOHANG)
    finally:
        os.close(pidfd)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"prctl({option})")
