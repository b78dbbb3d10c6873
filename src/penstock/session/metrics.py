"""What a session has measured of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from penstock.bridges import (
    BridgeStatistics,
    ConversionStrategy,
    DataBridge,
    Lane,
    LaneState,
    LatencyHistogram,
)
from penstock.data import ExecutorType, Kind
from penstock.executors.base import NodeRecords
from penstock.executors.statistics import ProcessStatistics
from penstock.session.stall import Blocking, held_up_by

_NOTHING_TIMED = LatencyHistogram()


@dataclass(frozen=True, slots=True)
class NodeMetrics:
    """One node: items taken and given, time spent in it, and its process.

    ``cpu_time_s`` and ``peak_memory_bytes`` are those of its process and 0 where the node
    has none of its own; ``unmatched`` are the inputs that a join had to drop, ``interrupted`` the
    outputs and inputs that were given up because of an interrupt while the node was at them.
    ``skipped`` are the inputs, or products, that it was left out of while it was not enabled, and
    ``withheld`` the outputs that an intercept dropped.
    ``processing`` is the time that each item took, and ``processing_time_s`` the sum; with several
    at once that is longer than ``execution_time_s``, and what flushing takes is in the latter only.
    """

    executor: ExecutorType
    pid: int
    items_processed: int
    outputs: int
    execution_time_s: float
    cpu_time_s: float
    peak_memory_bytes: int
    unmatched: int = 0
    processing: LatencyHistogram = _NOTHING_TIMED
    processing_time_s: float = 0.0
    interrupted: int = 0
    skipped: int = 0
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class HostMetrics:
    """The process that a service has for a session: its native nodes, and what is between nodes."""

    pid: int
    cpu_time_s: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class LaneMetrics:
    """One connection, or the client's way to a source or from a sink (``CLIENT``).

    In messages: ``sent`` is what the lane took, ``received`` what its target took out,
    ``waiting`` what lies between, ``dropped`` what was given up, by reason, and ``filtered``
    what the target doesn't accept, by kind, and was never sent. ``copies`` are payloads
    copied on the way, and ``held`` those that the target still looks at. The source could send
    nothing for ``blocked_s`` seconds, because of the node ``held_up_by``: the target, or whom
    that waited for, for room or, in a join, for an input. None where it was never blocked.
    ``conversion`` are the times of single conversions, at both ends, ``transit`` those from being
    sent to being taken, each with its sum; they are measured between processes.
    """

    source: str
    target: str
    strategy: ConversionStrategy
    state: LaneState
    sent: int
    received: int
    waiting: int
    dropped: Mapping[str, int]
    filtered: Mapping[Kind, int]
    copies: int
    held: int
    payload_bytes: int
    blocked_s: float
    held_up_by: str | None
    conversion: LatencyHistogram = _NOTHING_TIMED
    conversion_time_s: float = 0.0
    transit: LatencyHistogram = _NOTHING_TIMED
    transit_time_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionTotals:
    """What ``SessionMetrics`` say of the session as a whole, for who asks again and again.

    ``items_processed`` are those of all nodes.
    """

    session_id: str
    inputs: int
    items_processed: int
    items_by_kind: Mapping[Kind, int]
    waiting: int
    dropped: int
    peak_memory_bytes: int
    average_latency_s: float | None


@dataclass(frozen=True, slots=True)
class SessionMetrics:
    """One session, from zero: it runs once. ``waiting`` and ``dropped`` count on all lanes.

    ``average_latency_s`` is from an input to the outputs that come of it, as far as they come of
    one; None while there is none. ``host`` is None where the session has no process of its own.
    ``cpu_time_s`` and ``peak_memory_bytes`` add up the processes of the nodes and the host; memory
    is resident, so that what they share counts in each.
    """

    session_id: str
    wall_time_s: float
    cpu_time_s: float
    peak_memory_bytes: int
    nodes: Mapping[str, NodeMetrics]
    bridges: tuple[BridgeStatistics, ...]
    lanes: tuple[LaneMetrics, ...]
    inputs: int
    outputs: int
    items_by_kind: Mapping[Kind, int]
    waiting: int
    dropped: int
    average_latency_s: float | None
    host: HostMetrics | None = None


def node_metrics(executors: Iterable[NodeRecords]) -> dict[str, NodeMetrics]:
    """What the nodes of all executors have counted, by node ID."""
    return {
        node_id: NodeMetrics(
            executor=executor.executor_type,
            pid=executor.pid(node_id),
            items_processed=stats.items,
            outputs=stats.outputs,
            execution_time_s=stats.execution_ns / 1e9,
            cpu_time_s=stats.cpu_ns / 1e9,
            peak_memory_bytes=stats.peak_memory_bytes,
            unmatched=stats.unmatched,
            processing=LatencyHistogram(tuple(stats.processing)),
            processing_time_s=stats.processing_ns / 1e9,
            interrupted=stats.interrupted,
            skipped=stats.skipped,
            withheld=stats.withheld,
        )
        for executor in executors
        for node_id, stats in executor.statistics.items()
    }


def host_metrics(host: ProcessStatistics | None) -> HostMetrics | None:
    """The same in the units of metrics."""
    if host is None:
        return None
    return HostMetrics(host.pid, host.cpu_ns / 1e9, host.peak_memory_bytes)


def waiting_and_dropped(bridges: Iterable[DataBridge]) -> tuple[int, int]:
    """How many messages wait on all lanes, and how many have been dropped there."""
    counted = [lane.waiting_and_dropped for bridge in bridges for lane in bridge.lanes.values()]
    return sum(waiting for waiting, _ in counted), sum(dropped for _, dropped in counted)


def lane_metrics(bridges: Iterable[DataBridge], joins: Set[str]) -> tuple[LaneMetrics, ...]:
    """What the lanes of all bridges have counted, and who held them up.

    ``joins`` are the nodes that need an input of each of their lanes.
    """
    lanes = [(bridge, lane) for bridge in bridges for lane in bridge.lanes.values()]
    blocking = [
        Blocking(lane.spec.source, lane.spec.target, lane.producer.blocked_ns / 1e9)
        for _, lane in lanes
    ]
    causes = [held_up_by(blocked, blocking, joins) for blocked in blocking]
    return tuple(
        _lane_metrics(bridge.conversion_strategy, lane, blocked, cause)
        for (bridge, lane), blocked, cause in zip(lanes, blocking, causes, strict=True)
    )


def _lane_metrics(
    strategy: ConversionStrategy, lane: Lane, blocked: Blocking, cause: str | None
) -> LaneMetrics:
    producer, consumer = lane.producer, lane.consumer
    return LaneMetrics(
        source=lane.spec.source,
        target=lane.spec.target,
        strategy=strategy,
        state=lane.state,
        sent=producer.sent,
        received=consumer.received,
        waiting=lane.waiting,
        dropped=dict(Counter(producer.dropped) + Counter(consumer.dropped)),
        filtered={Kind(name): count for name, count in producer.filtered.items()},
        copies=producer.copies + consumer.copies,
        held=consumer.held,
        payload_bytes=producer.payload_bytes,
        blocked_s=blocked.blocked_s,
        held_up_by=cause,
        conversion=LatencyHistogram.merged((producer.conversion, consumer.conversion)),
        conversion_time_s=(producer.conversion_ns + consumer.conversion_ns) / 1e9,
        transit=LatencyHistogram(tuple(consumer.transit)),
        transit_time_s=consumer.transit_ns / 1e9,
    )
