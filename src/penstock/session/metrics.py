"""What a session has measured of itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from penstock.bridges import BridgeStatistics
from penstock.data import ExecutorType, Kind

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class NodeMetrics:
    """One node: items taken and given, time spent in it, and its process.

    ``cpu_time_s`` and ``peak_memory_bytes`` are those of its process and 0 where the node
    has none of its own.
    """

    executor: ExecutorType
    pid: int
    items_processed: int
    outputs: int
    execution_time_s: float
    cpu_time_s: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class SessionMetrics:
    """One session; ``waiting`` and ``dropped`` are messages on all lanes.

    ``average_latency_s`` is from an input to the outputs that carry its sequence number, None
    while there is none. ``cpu_time_s`` and ``peak_memory_bytes`` add up the nodes' processes.
    """

    session_id: str
    wall_time_s: float
    cpu_time_s: float
    peak_memory_bytes: int
    nodes: Mapping[str, NodeMetrics]
    bridges: tuple[BridgeStatistics, ...]
    inputs: int
    outputs: int
    items_by_kind: Mapping[Kind, int]
    waiting: int
    dropped: int
    average_latency_s: float | None


class Latency:
    """Time from inputs to outputs, by sequence number; the last few thousand are known."""

    def __init__(self) -> None:
        self._sent: OrderedDict[int, float] = OrderedDict()
        self._total_s = 0.0
        self._count = 0

    def sent(self, sequence: int) -> None:
        self._sent[sequence] = time.perf_counter()
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    def arrived(self, sequence: int) -> float | None:
        """Seconds since the input with this number, where it is known."""
        started = self._sent.get(sequence)
        if started is None:
            return None
        latency_s = time.perf_counter() - started
        self._total_s += latency_s
        self._count += 1
        return latency_s

    @property
    def average_s(self) -> float | None:
        return self._total_s / self._count if self._count else None
