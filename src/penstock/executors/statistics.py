"""What is counted while a node runs."""

from __future__ import annotations

import os
import resource
import time
from typing import Self

import msgspec


class NodeStatistics(msgspec.Struct):
    """Times in ns; memory is the peak of the node's process in bytes, 0 where it has none.

    ``unmatched`` are inputs of a join that could not be matched, ``interrupted`` the outputs that
    were given up before they left, and the inputs that were as they were taken, because an
    interrupt had come. ``skipped`` are inputs, or products, that the node was left out of by its
    state, ``withheld`` the outputs that an intercept dropped. ``waits_for`` are the nodes without
    which it can't go on at this moment: one of them for an input with ``for_any``,
    else each of them, to give an input or to make room for an output. ``processing`` counts the
    time that each input took, in the buckets of a ``LatencyHistogram``, and ``processing_ns`` is
    the sum.
    """

    items: int = 0
    outputs: int = 0
    unmatched: int = 0
    interrupted: int = 0
    skipped: int = 0
    withheld: int = 0
    execution_ns: int = 0
    cpu_ns: int = 0
    peak_memory_bytes: int = 0
    waits_for: list[str] = msgspec.field(default_factory=list)
    for_any: bool = False
    processing_ns: int = 0
    processing: list[int] = msgspec.field(default_factory=list)


class ProcessStatistics(msgspec.Struct, frozen=True):
    """What a process has used: CPU time in ns, and the peak of its memory in bytes."""

    pid: int
    cpu_ns: int
    peak_memory_bytes: int

    @classmethod
    def own(cls) -> Self:
        """Those of this process."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return cls(os.getpid(), time.process_time_ns(), peak)
