"""What is counted while a node runs."""

from __future__ import annotations

import msgspec


class NodeStatistics(msgspec.Struct):
    """Times in ns; memory is the peak of the node's process in bytes, 0 where it has none."""

    items: int = 0
    outputs: int = 0
    execution_ns: int = 0
    cpu_ns: int = 0
    peak_memory_bytes: int = 0
