"""What a service measured, as its client reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node; ``executor``, ``reason`` and ``pid`` say where it ran and why.

    ``unmatched`` are the inputs that a join had to drop, ``filtered`` the values on its way that
    are of no kind that it takes, ``interrupted`` the inputs and outputs that were given up because
    of an interrupt while it was at them, ``skipped`` the inputs, or products, that it was left out
    of while it was not enabled, ``withheld`` the outputs that an intercept dropped.
    """

    items_processed: int
    outputs: int
    execution_time_s: float
    cpu_time_s: float
    peak_memory_bytes: int
    executor: str
    reason: str
    pid: int
    unmatched: int
    filtered: int
    interrupted: int
    skipped: int
    withheld: int


@dataclass(frozen=True, slots=True)
class BridgeReport:
    """What passed from one executor to another; the latency is the sum over all messages."""

    source: str
    target: str
    strategy: str
    state: str
    messages_transferred: int
    bytes_transferred: int
    conversion_latency_us: int


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """A session from its start to its end.

    ``cpu_time_s`` and ``peak_memory_bytes`` add up the processes of its nodes and its host.
    ``decoding_s`` and ``encoding_s`` are what the service spent between messages and values.
    """

    wall_time_s: float
    cpu_time_s: float
    peak_memory_bytes: int
    nodes: Mapping[str, NodeReport]
    bridges: tuple[BridgeReport, ...]
    items_by_kind: Mapping[str, int]
    decoding_s: float
    encoding_s: float


@dataclass(frozen=True, slots=True)
class StreamReport:
    """A session while it runs; ``waiting`` and ``dropped`` are messages on all lanes."""

    inputs: int
    items_processed: int
    waiting: int
    dropped: int
    average_latency_s: float
    peak_memory_bytes: int
    items_by_kind: Mapping[str, int]


def execution_report(message: pb.ExecutionMetrics) -> ExecutionReport:
    return ExecutionReport(
        wall_time_s=message.wall_time_ms / 1e3,
        cpu_time_s=message.cpu_time_ms / 1e3,
        peak_memory_bytes=message.memory_used_bytes,
        nodes={node_id: _node(node) for node_id, node in message.node_metrics.items()},
        bridges=tuple(_bridge(bridge) for bridge in message.bridges),
        items_by_kind=dict(message.data_type_breakdown),
        decoding_s=message.proto_to_runtime_ms / 1e3,
        encoding_s=message.runtime_to_proto_ms / 1e3,
    )


def _node(message: pb.NodeMetrics) -> NodeReport:
    return NodeReport(
        items_processed=message.items_processed,
        outputs=message.outputs,
        execution_time_s=message.execution_time_ms / 1e3,
        cpu_time_s=message.cpu_time_ms / 1e3,
        peak_memory_bytes=message.memory_bytes,
        executor=message.executor,
        reason=message.reason,
        pid=message.pid,
        unmatched=message.unmatched,
        filtered=message.filtered,
        interrupted=message.interrupted,
        skipped=message.skipped,
        withheld=message.withheld,
    )


def _bridge(message: pb.BridgeMetrics) -> BridgeReport:
    return BridgeReport(
        source=message.source,
        target=message.target,
        strategy=message.strategy,
        state=message.state,
        messages_transferred=message.messages_transferred,
        bytes_transferred=message.bytes_transferred,
        conversion_latency_us=message.conversion_latency_us,
    )


def stream_report(message: streaming.StreamMetrics) -> StreamReport:
    return StreamReport(
        inputs=message.chunks_processed,
        items_processed=message.total_items,
        waiting=message.buffer_items,
        dropped=message.chunks_dropped,
        average_latency_s=message.average_latency_ms / 1e3,
        peak_memory_bytes=message.peak_memory_bytes,
        items_by_kind=dict(message.data_type_breakdown),
    )
