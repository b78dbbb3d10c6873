"""Which messages are still wanted: a page that says of each node since when.

An interrupt has a number, its *epoch*. The page has two words for each node: the last interrupt
that made its outputs stale, and the last one that made its own work so. One process writes it, all
processes of a session read it: what an interrupt changes is seen everywhere at once, wherever a
message is, whatever its node is at.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable

_WORD = 8
_SERIAL = 0
_FIRST = 1
_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>; not in Python's fcntl before 3.13
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | _F_SEAL_FUTURE_WRITE
CLIENT_SLOT = 0
"""The place of the client; those of the nodes follow."""


class Epochs:
    """The page as it is read. ``words`` are its numbers: see ``outputs_at`` and ``work_at``."""

    __slots__ = ("words",)

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        self.words = memoryview(memory).cast("Q")

    @classmethod
    def behind(cls, fd: int) -> Epochs:
        """The page behind a descriptor, which stays the caller's; raises ``OSError``."""
        return cls(mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ))

    @property
    def serial(self) -> int:
        """The number of the last interrupt: written last, so that who sees it sees all of it."""
        return self.words[_SERIAL]

    def of_outputs(self, slot: int) -> int:
        """The epoch of what a node gives now; what it gave in an older one is stale."""
        return self.words[outputs_at(slot)]

    def of_work(self, slot: int) -> int:
        """The last interrupt upstream of a node: what it had begun before that is for nothing."""
        return self.words[work_at(slot)]


class EpochPage(Epochs):
    """The page of one session as its one writer has it, for so many nodes.

    With ``shared`` it lies in a sealed memfd, ``fd``, that others may read; raises ``OSError``
    where that can't be had.
    """

    __slots__ = ("fd",)

    def __init__(self, nodes: int, *, shared: bool) -> None:
        nbytes = _WORD * outputs_at(nodes + 1)
        self.fd: int | None = None
        if not shared:
            super().__init__(bytearray(nbytes))
            return
        self.fd = fd = os.memfd_create("penstock-epochs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, nbytes)
            memory = mmap.mmap(fd, nbytes)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            self.close()
            raise
        super().__init__(memory)

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

    def close(self) -> None:
        """Let go of the descriptor; doing it twice is harmless."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


def outputs_at(slot: int) -> int:
    """Where the epoch of a node's outputs stands among the words."""
    return _FIRST + 2 * slot


def work_at(slot: int) -> int:
    """Where the epoch of a node's work stands."""
    return _FIRST + 2 * slot + 1


NO_EPOCHS = Epochs(bytearray(_WORD * outputs_at(1)))
"""Where nothing is ever interrupted."""
