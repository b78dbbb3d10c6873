"""Which messages are still wanted: a page that says of each node since when.

An interrupt has a number, its *epoch*. The page has two words for each node: the last interrupt
that made its outputs stale, and the last one that made its own work so. One process writes it, all
processes of a session read it: what an interrupt changes is seen everywhere at once, wherever a
message is, whatever its node is at.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import weakref
from collections.abc import Iterable, Mapping
from typing import TypeAlias

_SERIAL = 0
_FIRST = 1
_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>; not in Python's fcntl before 3.13
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | _F_SEAL_FUTURE_WRITE
_FAILED = ctypes.c_void_p(-1).value
CLIENT_SLOT = 0
"""The place of the client; those of the nodes follow."""

Words: TypeAlias = "ctypes.Array[ctypes.c_uint64]"
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
]  # fmt: skip
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Epochs:
    """The page as it is read.

    ``words`` are its numbers: see ``outputs_at`` and ``work_at``. ``slots`` are the places of the
    nodes by their IDs, where they are known; ``fd`` is the descriptor of a page that others read.
    """

    def __init__(
        self, words: Words, slots: Mapping[str, int] | None = None, fd: int | None = None
    ) -> None:
        self.words = words
        self.slots: Mapping[str, int] = slots or {}
        self.fd = fd

    @classmethod
    def behind(cls, fd: int, slots: Mapping[str, int] | None = None) -> Epochs:
        """The page behind a descriptor, which is taken over; raises ``OSError``."""
        return cls(_mapped(fd, os.fstat(fd).st_size, mmap.PROT_READ), slots, fd)

    @property
    def serial(self) -> int:
        """The number of the last interrupt: written last, so that who sees it sees all of it."""
        return self.words[_SERIAL]

    def of_outputs(self, slot: int) -> int:
        """The epoch of what a node gives now; what it gave in an older one is stale."""
        return self.words[outputs_at(slot)]

    def close(self) -> None:
        """Let go of the descriptor; the words can still be read. Doing it twice is harmless."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


class EpochPage(Epochs):
    """The page of one session as its one writer has it.

    With ``shared`` it lies in a sealed memfd that others may read; raises ``OSError`` where that
    can't be had.
    """

    def __init__(self, slots: Mapping[str, int], *, shared: bool) -> None:
        count = outputs_at(len(slots))
        words = ctypes.c_uint64 * count
        fd = _new_page(ctypes.sizeof(words)) if shared else None
        if fd is None:
            super().__init__(words(), slots)
            return
        super().__init__(_mapped(fd, ctypes.sizeof(words), mmap.PROT_WRITE), slots, fd)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)

    def interrupt(self, named: int, downstream: Iterable[int]) -> int:
        """Make stale what a node gave, and what the nodes downstream of it work on and gave.

        Gives the interrupt's epoch. A node whose work is stale must never see that its outputs
        have a new epoch and not see the former.
        """
        epoch = self.serial + 1
        behind = tuple(downstream)
        for slot in behind:
            self.words[work_at(slot)] = epoch
        for slot in (named, *behind):
            self.words[outputs_at(slot)] = epoch
        self.words[_SERIAL] = epoch
        return epoch


def outputs_at(slot: int) -> int:
    """Where the epoch of a node's outputs stands among the words."""
    return _FIRST + 2 * slot


def work_at(slot: int) -> int:
    """Where the epoch of a node's work stands."""
    return _FIRST + 2 * slot + 1


def _new_page(nbytes: int) -> int:
    fd = os.memfd_create("penstock-epochs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, nbytes)
    return fd


def _mapped(fd: int, nbytes: int, protection: int) -> Words:
    """Memory that costs no second descriptor, as Python's own mapping would."""
    words = ctypes.c_uint64 * (nbytes // ctypes.sizeof(ctypes.c_uint64))
    address = _libc.mmap(None, nbytes, mmap.PROT_READ | protection, mmap.MAP_SHARED, fd, 0)
    if address == _FAILED:
        code = ctypes.get_errno()
        os.close(fd)
        raise OSError(code, os.strerror(code))
    array = words.from_address(address)
    weakref.finalize(array, _libc.munmap, address, nbytes)
    return array


NO_EPOCHS = Epochs((ctypes.c_uint64 * outputs_at(1))())
"""Where nothing is ever interrupted."""
