"""What this machine's kernel offers of what Penstock is built on, found by trying it."""

from __future__ import annotations

import ctypes
import os
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penstock.executors.multiprocess import cgroup, kernel
from penstock.executors.multiprocess.limits import memory_limiter
from penstock.executors.multiprocess.probe import zygote_answers

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Faculty:
    """One thing that was tried; ``needed`` says that nothing works without it."""

    name: str
    found: str
    works: bool = True
    needed: bool = True


def faculties() -> Iterator[Faculty]:
    """Each in its turn. The process that asks must have no threads: some are tried in forks."""
    yield Faculty("kernel", os.uname().release)
    yield _tried("parent-death signal", _a_child_dies_with_its_parent)
    yield _tried("sealed memory (memfd)", _memory_can_be_sealed)
    yield _tried("process descriptors (pidfd)", _a_pidfd_can_be_had)
    yield _tried("seqpacket sockets", _seqpacket_sockets_can_be_had)
    yield _tried("close_range", lambda: hasattr(ctypes.CDLL(None), "close_range"), needed=False)
    yield Faculty("node memory is limited by", str(memory_limiter()))
    yield _control_groups()
    yield _tried("zygote", lambda: zygote_answers(_PATIENCE_S))


def _tried(name: str, works: Callable[[], bool], *, needed: bool = True) -> Faculty:
    try:
        well = works()
    except OSError as exc:
        return Faculty(name, f"fails: {exc.strerror}", works=False, needed=needed)
    return Faculty(name, "works" if well else "doesn't work", works=well, needed=needed)


def _control_groups() -> Faculty:
    mounted, own = cgroup.mount_point(), cgroup.base()
    if mounted is None:
        found = "version 2 isn't mounted"
    elif own is None:
        found = f"{mounted}: this process's group can't be divided with a memory limit"
    else:
        found = f"{own} can be divided"
    return Faculty("control groups", found, works=own is not None, needed=False)


def _a_child_dies_with_its_parent() -> bool:
    """The grandchild holds the pipe until it dies: its end is read as end-of-file."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        _leave_a_child()
    os.close(write)
    os.waitpid(parent, 0)
    ended = select.poll()
    ended.register(read, select.POLLIN)
    died = bool(ended.poll(_PATIENCE_S * 1000))
    os.close(read)
    return died


def _leave_a_child() -> None:
    ready, say = os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        os.close(ready)
        kernel.die_with(parent)
        os.write(say, b"1")
        select.poll().poll(2 * _PATIENCE_S * 1000)  # until it is killed
        os._exit(0)
    os.close(say)
    os.read(ready, 1)
    os._exit(0)


def _memory_can_be_sealed() -> bool:
    fd = os.memfd_create("penstock-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.close(fd)
    return True


def _a_pidfd_can_be_had() -> bool:
    os.close(os.pidfd_open(os.getpid()))
    return True


def _seqpacket_sockets_can_be_had() -> bool:
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
        end.close()
    return True
