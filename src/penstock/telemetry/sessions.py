"""What a session's metrics say under the labels of a whole service. Pure.

IDs are their clients' to choose and stay out: nodes are told apart by type and executor, lanes by
the types at their ends.
"""

from __future__ import annotations

from penstock.bridges import LatencyHistogram
from penstock.data import CLIENT, ExecutorType
from penstock.errors import (
    InputError,
    LaneError,
    NodeError,
    PenstockError,
    ResourceLimitError,
    SessionCancelledError,
    SessionIdleError,
    StallError,
    SupervisionError,
)
from penstock.planning import NodeExecutionPlan
from penstock.session import LaneMetrics, SessionMetrics
from penstock.telemetry import families as f
from penstock.telemetry.ledger import Labels, Tally, Times

_OUTCOMES: tuple[tuple[type[PenstockError], str], ...] = (
    (SessionCancelledError, "cancelled"),
    (SessionIdleError, "idle"),
    (NodeError, "node_failed"),
    (StallError, "stalled"),
    (ResourceLimitError, "resource_limit"),
    (InputError, "wrong_input"),
    (SupervisionError, "supervision_failed"),
    (LaneError, "lane_failed"),
)


def outcome_of(failure: PenstockError | None) -> str:
    """How a session ended, in a word."""
    if failure is None:
        return "completed"
    return next((word for kind, word in _OUTCOMES if isinstance(failure, kind)), "failed")


def tally_of(plan: NodeExecutionPlan, metrics: SessionMetrics) -> Tally:
    """Everything that a session has counted."""
    tally = Tally()
    tally.counters[f.SESSIONS_STARTED, ()] = 1
    for node_id, node in metrics.nodes.items():
        node_type = plan.node(node_id).node_type
        labels = (node_type, str(node.executor))
        tally.gauges[f.NODES, labels] += 1
        tally.counters[f.NODE_ITEMS, labels] += node.items_processed
        tally.counters[f.NODE_OUTPUTS, labels] += node.outputs
        tally.counters[f.NODE_UNMATCHED, labels] += node.unmatched
        tally.times[f.NODE_PROCESSING, labels] += _times(node.processing, node.processing_time_s)
        if node.executor is ExecutorType.MULTIPROCESS:
            tally.counters[f.PROCESS_CPU, ("node", node_type)] += node.cpu_time_s
    if metrics.host is not None:
        tally.counters[f.PROCESS_CPU, ("host", "")] += metrics.host.cpu_time_s
    for lane in metrics.lanes:
        _add_lane(tally, lane, (_type(plan, lane.source), _type(plan, lane.target)))
    return tally


def _add_lane(tally: Tally, lane: LaneMetrics, ends: tuple[str, str]) -> None:
    labels: Labels = (*ends, str(lane.strategy))
    for family, amount in (
        (f.EDGE_SENT, lane.sent),
        (f.EDGE_RECEIVED, lane.received),
        (f.EDGE_BYTES, lane.payload_bytes),
        (f.EDGE_FILTERED, sum(lane.filtered.values())),
        (f.EDGE_COPIES, lane.copies),
        (f.EDGE_BLOCKED, lane.blocked_s),
    ):
        tally.counters[family, labels] += amount
    for reason, count in lane.dropped.items():
        tally.counters[f.EDGE_DROPPED, (*labels, reason.replace(" ", "_"))] += count
    tally.gauges[f.EDGE_WAITING, labels] += lane.waiting
    tally.times[f.EDGE_CONVERSION, labels] += _times(lane.conversion, lane.conversion_time_s)
    tally.times[f.EDGE_TRANSIT, labels] += _times(lane.transit, lane.transit_time_s)


def _times(histogram: LatencyHistogram, total_s: float) -> Times:
    return Times(histogram.counts, total_s)


def _type(plan: NodeExecutionPlan, end: str) -> str:
    return "client" if end == CLIENT else plan.node(end).node_type
