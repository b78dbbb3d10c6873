"""What is counted while a node runs."""

from __future__ import annotations

import msgspec


class NodeStatistics(msgspec.Struct):
    """Times in ns; memory is the peak of the node's process in bytes, 0 where it has none.

    ``blocked_on`` are the IDs of the lanes that its current output waits for.
    """

    items: int = 0
    outputs: int = 0
    execution_ns: int = 0
    cpu_ns: int = 0
    peak_memory_bytes: int = 0
    blocked_on: list[int] = msgspec.field(default_factory=list)
