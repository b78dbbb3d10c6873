"""What the nodes of a process are at: a page that who watches over it reads as well.

Writing costs a node two stores a call, whether anybody watches or not. The page has a pair of
words for each node (the method, and when the call into it that goes on began, or 0); behind
them is room for stacks, which ``faulthandler`` writes. Times are ``perf_counter_ns``, which on
Linux is one clock for all processes.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import NamedTuple

from penstock.errors import ResourceLimitError
from penstock.executors.pulse import METHODS, Pulse

STACKS_AT = 1 << 20
"""Where the stacks begin. What of the page is never written takes no memory."""
STACKS_BYTES = 64 << 10
_WORD = 8
_HEADER = 2  # words; the first is the number of nodes
MAX_NODES = (STACKS_AT // _WORD - _HEADER) // 2
_LIMITED = ("process", "flush", "interrupt")
_SECOND_NS = 1_000_000_000
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Busy(NamedTuple):
    """A call that goes on: into ``method`` of the page's node number ``slot``."""

    slot: int
    method: str
    since_ns: int


class OverlappingPulse(Pulse):
    """The same of a node with several calls at once: it shows the oldest."""

    __slots__ = ("_calls",)

    def __init__(self, pulse: Pulse) -> None:
        super().__init__(pulse.page, pulse.at)
        self._calls: list[int] = []

    def begin(self, now_ns: int) -> None:
        self._calls.append(now_ns)
        self.show(self._calls[0])

    def end(self, began_ns: int) -> None:
        self._calls.remove(began_ns)
        self.show(self._calls[0] if self._calls else 0)


class Vitals:
    """A page as it is read: what goes on now, and what takes too long.

    Only ``process``, ``flush`` and ``interrupt`` have a limit: ``produce`` may wait for its device.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._words = memoryview(memory).cast("Q")

    def busy(self) -> list[Busy]:
        """The calls that go on, the one that began last at the end."""
        words = self._words
        found = []
        for slot in range(min(words[0], MAX_NODES)):
            at = _HEADER + 2 * slot
            method = words[at]  # read first: it changes only while no call goes on
            since_ns = words[at + 1]
            if since_ns and method < len(METHODS):
                found.append(Busy(slot, METHODS[method], since_ns))
        return sorted(found, key=_since)

    def overdue(self, now_ns: int, limit_s: float) -> Busy | None:
        """The oldest call that has a limit, and is past it."""
        oldest = self._oldest_limited()
        if oldest is not None and now_ns - oldest.since_ns >= limit_s * _SECOND_NS:
            return oldest
        return None

    def look_again_s(self, now_ns: int, limit_s: float) -> float:
        """In how many seconds a call can be past its limit, and not before; never negative."""
        oldest = self._oldest_limited()
        since_ns = now_ns if oldest is None else min(oldest.since_ns, now_ns)
        return max(since_ns + limit_s * _SECOND_NS - now_ns, 0) / _SECOND_NS

    def _oldest_limited(self) -> Busy | None:
        return next((call for call in self.busy() if call.method in _LIMITED), None)


class OwnVitals(Vitals):
    """The page of this process: behind a descriptor that it was handed, or its own affair."""

    def __init__(self, fd: int | None = None) -> None:
        memory = mmap.mmap(-1 if fd is None else fd, STACKS_AT)
        super().__init__(memory)

    def pulse(self) -> Pulse:
        """The words of one more node; raises ``ResourceLimitError`` where there is no room."""
        slot = self._words[0]
        if slot == MAX_NODES:
            raise ResourceLimitError("nodes of one process", wished=1, free=0, limit=MAX_NODES)
        pulse = Pulse(self._words, _HEADER + 2 * slot)
        self._words[0] = slot + 1
        return pulse


class ChildVitals(Vitals):
    """The page of a process that is about to be forked, which gets ``fd``, and may write only.

    The page can't be cut short, and a process that is forked meanwhile doesn't see it.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("penstock-vitals", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, STACKS_AT + STACKS_BYTES)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        memory = mmap.mmap(self.fd, STACKS_AT, prot=mmap.PROT_READ)
        memory.madvise(mmap.MADV_DONTFORK)
        super().__init__(memory)

    def stacks(self) -> str:
        """What the process has written of its stacks."""
        written = os.pread(self.fd, STACKS_BYTES, STACKS_AT)
        return written.rstrip(b"\0").decode(errors="replace")

    def close(self) -> None:
        """Let go of the page; what goes on in it can't be told any more."""
        os.close(self.fd)
        self._words.release()


def _since(call: Busy) -> int:
    return call.since_ns
