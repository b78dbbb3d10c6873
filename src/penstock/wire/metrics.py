"""What a session measured, as protocol messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from penstock.bridges import BridgeStatistics
from penstock.session import NodeMetrics, SessionMetrics, SessionTotals
from penstock.wire.codec_time import CodecTime
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming


def encode_metrics(
    metrics: SessionMetrics, reasons: Mapping[str, str], codec: CodecTime
) -> pb.ExecutionMetrics:
    """A session's metrics; ``reasons`` says for each node why it ran on its executor."""
    message = pb.ExecutionMetrics(
        wall_time_ms=metrics.wall_time_s * 1e3,
        cpu_time_ms=metrics.cpu_time_s * 1e3,
        memory_used_bytes=metrics.peak_memory_bytes,
        serialization_time_ms=(codec.decoding_s + codec.encoding_s) * 1e3,
        proto_to_runtime_ms=codec.decoding_s * 1e3,
        runtime_to_proto_ms=codec.encoding_s * 1e3,
        data_type_breakdown={str(kind): count for kind, count in metrics.items_by_kind.items()},
        bridges=[_bridge(bridge) for bridge in metrics.bridges],
    )
    filtered: Counter[str] = Counter()
    for lane in metrics.lanes:
        filtered[lane.target] += sum(lane.filtered.values())
    for node_id, node in metrics.nodes.items():
        said = _node(node, reasons.get(node_id, ""), filtered[node_id])
        message.node_metrics[node_id].CopyFrom(said)
    return message


def _node(node: NodeMetrics, reason: str, filtered: int) -> pb.NodeMetrics:
    return pb.NodeMetrics(
        execution_time_ms=node.execution_time_s * 1e3,
        memory_bytes=node.peak_memory_bytes,
        items_processed=node.items_processed,
        outputs=node.outputs,
        cpu_time_ms=node.cpu_time_s * 1e3,
        executor=node.executor,
        pid=node.pid,
        reason=reason,
        unmatched=node.unmatched,
        filtered=filtered,
        interrupted=node.interrupted,
        skipped=node.skipped,
        withheld=node.withheld,
    )


def _bridge(bridge: BridgeStatistics) -> pb.BridgeMetrics:
    return pb.BridgeMetrics(
        source=bridge.source,
        target=bridge.target,
        strategy=bridge.strategy,
        state=bridge.state,
        messages_transferred=bridge.messages_transferred,
        bytes_transferred=bridge.bytes_transferred,
        conversion_latency_us=bridge.conversion_latency_us,
    )


def encode_stream_metrics(totals: SessionTotals, read_ahead: int) -> streaming.StreamMetrics:
    """A running session's metrics; ``read_ahead`` are inputs that wait to be sent into it."""
    return streaming.StreamMetrics(
        session_id=totals.session_id,
        chunks_processed=totals.inputs,
        average_latency_ms=(totals.average_latency_s or 0.0) * 1e3,
        total_items=totals.items_processed,
        buffer_items=totals.waiting + read_ahead,
        chunks_dropped=totals.dropped,
        peak_memory_bytes=totals.peak_memory_bytes,
        data_type_breakdown={str(kind): count for kind, count in totals.items_by_kind.items()},
    )
