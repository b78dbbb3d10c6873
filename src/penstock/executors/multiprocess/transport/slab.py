"""Sealed memfds: memory without a name, which one process writes and others only read."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable

from penstock.errors import LaneError

_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>; not in Python's fcntl before 3.13
_MADV_POPULATE_WRITE = 23  # <linux/mman.h>, Linux 5.14
_NEVER_RESIZED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEALS = _NEVER_RESIZED | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL

SMALLEST_SLOT = 4096
_FIRST_SLAB = 256 << 10
_LARGEST_STEP = 16 << 20
_SMALLEST_POOL = 64 << 20


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


def slab_slots(size: int, existing: int) -> int:
    """Slots of a class's next slab: from a few to as many again as there are."""
    first = max(_FIRST_SLAB // size, 1 if size > _LARGEST_STEP // 4 else 2)
    return max(min(existing, max(_LARGEST_STEP // size, 1)), 1) if existing else first


class Slab:
    """A memfd cut into slots of one size, mapped for writing by the process that made it."""

    __slots__ = ("fd", "free", "memory", "on_free", "slab_id", "slot_bytes", "slots")

    def __init__(
        self, slab_id: int, slot_bytes: int, slots: int, on_free: Callable[[], None]
    ) -> None:
        self.slab_id = slab_id
        self.slot_bytes = slot_bytes
        self.slots = slots
        self.on_free = on_free
        self.fd = os.memfd_create("penstock", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self.nbytes)
        self.memory = mmap.mmap(self.fd, self.nbytes)
        self.memory.madvise(mmap.MADV_DONTFORK)
        _populate(self.memory)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        self.free = list(range(slots - 1, -1, -1))  # last in, first out: the warmest slot

    @property
    def nbytes(self) -> int:
        return self.slot_bytes * self.slots

    @property
    def idle(self) -> bool:
        return len(self.free) == self.slots

    def take_back(self, token: int, _slab_id: int, _nbytes: int) -> None:
        """The slot with index ``token`` is free again."""
        self.free.append(token)
        self.on_free()

    def close(self) -> None:
        """Give the descriptor up; the mapping goes with its last view."""
        os.close(self.fd)


class ForeignSlab:
    """Another process's slab, mapped read-only; its descriptor is kept to pass it on."""

    __slots__ = ("fd", "memory", "nbytes")

    def __init__(self, fd: int, lane: str) -> None:
        """Takes the descriptor over. Raises ``LaneError`` for one that could shrink."""
        self.fd = fd
        self.nbytes = os.fstat(fd).st_size
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _NEVER_RESIZED != _NEVER_RESIZED:
            os.close(fd)
            raise LaneError(lane, "a slab came unsealed: its owner could truncate it")
        self.memory = mmap.mmap(fd, self.nbytes, mmap.MAP_SHARED, mmap.PROT_READ)

    def close(self) -> None:
        os.close(self.fd)


def _populate(memory: mmap.mmap) -> None:
    """Touch all pages now, so that no message pays for it."""
    try:
        memory.madvise(_MADV_POPULATE_WRITE)
    except OSError:  # an older kernel
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 0
