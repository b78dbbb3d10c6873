"""What is counted while a node runs."""

from __future__ import annotations

import msgspec


class NodeStatistics(msgspec.Struct):
    """Times in ns; memory is the peak of the node's process in bytes, 0 where it has none.

    ``unmatched`` are inputs of a join that could not be matched. ``waits_for`` are the nodes
    without which it can't go on at this moment: one of them for an input with ``for_any``,
    else each of them, to give an input or to make room for an output.
    """

    items: int = 0
    outputs: int = 0
    unmatched: int = 0
    execution_ns: int = 0
    cpu_ns: int = 0
    peak_memory_bytes: int = 0
    waits_for: list[str] = msgspec.field(default_factory=list)
    for_any: bool = False
