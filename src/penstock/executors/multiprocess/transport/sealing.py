"""Sealed memfds: memory without a name, which one process writes and others only read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import LaneError

_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>; not in Python's fcntl before 3.13
_NEVER_RESIZED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEALS = _NEVER_RESIZED | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL

SMALLEST_SLOT = 4096
_FIRST_SLAB = 64 << 10
_LARGEST_STEP = 16 << 20
_SMALLEST_POOL = 8 << 20


def slot_size(nbytes: int) -> int:
    """The size class of a payload: four to each power of two, whole pages.

    At most a quarter of a slot is wasted, and only as address space: pages that nobody
    touches take no memory beyond the first filling.
    """
    if nbytes <= SMALLEST_SLOT:
        return SMALLEST_SLOT
    quarter = max((1 << (nbytes - 1).bit_length()) // 8, SMALLEST_SLOT)
    return -(-nbytes // quarter) * quarter


def guaranteed_pool(max_message_bytes: int) -> int:
    """What a producer needs to have room for two of its largest messages."""
    return max(2 * slot_size(max_message_bytes), _SMALLEST_POOL)


def slab_slots(size: int, existing: int, pool_bytes: int) -> int:
    """Slots of a class's next slab: from a few to as many again as there are.

    A slab of several is an eighth of the pool at most: a view keeps all of it from being given
    up, and two views on small messages are no hoard, wherever they lie.
    """
    most = max(min(_LARGEST_STEP, pool_bytes // 8) // size, 1)
    return min(existing or max(_FIRST_SLAB // size, 2), most)


def create(nbytes: int) -> int:
    """The descriptor of a new memfd, not sealed yet: its maker has to map it first."""
    fd = os.memfd_create("penstock", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, nbytes)
    except OSError:
        os.close(fd)
        raise
    return fd


def seal(fd: int) -> None:
    """From now on nobody resizes it, and nobody maps it for writing any more."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)


def fix_size(fd: int) -> None:
    """From now on nobody resizes it."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _NEVER_RESIZED | fcntl.F_SEAL_SEAL)


@contextmanager
def usable(lane: str) -> Iterator[None]:
    """What can't be done with a descriptor that another process sent is its ``LaneError``."""
    try:
        yield
    except OSError as exc:
        raise LaneError(lane, f"a descriptor came that can't be used: {exc}") from exc


def check(fd: int, lane: str, nbytes: int = 1) -> int:
    """The size of a memfd that another process made: at least ``nbytes``.

    Raises ``LaneError`` for what is no memfd, is smaller, or could shrink under its readers.
    """
    with usable(lane):
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        size = os.fstat(fd).st_size
    if seals & _NEVER_RESIZED != _NEVER_RESIZED:
        raise LaneError(lane, "memory came unsealed: its owner could truncate it")
    if size < nbytes:
        raise LaneError(lane, f"expected memory of {nbytes} bytes, got {size}")
    return size
