"""What became of each node of a session that was run to its end, or failed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from penstock.data import CLIENT
from penstock.errors import NodeError, PenstockError, SupervisionError
from penstock.planning import NodeExecutionPlan
from penstock.service.limits import TimeOverError
from penstock.session import LaneMetrics, SessionMetrics
from penstock.wire.errors import encode_error
from penstock.wire.v1 import common_pb2 as pb


def completed(
    plan: NodeExecutionPlan, metrics: SessionMetrics, given: Collection[str]
) -> list[pb.NodeResult]:
    """Of a session in which nothing failed, whose sources ``given`` had an input.

    A node is skipped that nothing led to, and that gave nothing of itself: no input, no producer,
    nothing of a kind that it takes, or only a part of what a join needs.
    """
    reached = _reached(plan, given, _never_fed(metrics.lanes))
    return [
        pb.NodeResult(
            node_id=node_id,
            status=pb.NODE_STATUS_SUCCESS
            if node_id in reached or metrics.nodes[node_id].outputs
            else pb.NODE_STATUS_SKIPPED,
        )
        for node_id in plan.order
    ]


def failed(
    plan: NodeExecutionPlan, metrics: SessionMetrics | None, error: PenstockError
) -> Iterator[pb.NodeResult]:
    """Of a session that an error has ended: whom it names has failed, as has who wasn't in time.

    The others have done what they could, or were skipped as nothing had come to them yet.
    ``metrics`` are None for a session that never executed; a process that died may not have come
    to say what it had done, but who fed those that failed has done something.
    """
    guilty = _guilty(error, metrics)
    executed = metrics.nodes if metrics is not None else {}
    worked = {node_id for node_id, one in executed.items() if one.items_processed or one.outputs}
    if metrics is not None:
        worked.update(name for node_id in guilty for name in _fed_by(plan, node_id))
    for node_id in plan.order:
        if node_id in guilty:
            yield pb.NodeResult(
                node_id=node_id, status=pb.NODE_STATUS_FAILED, error=encode_error(error)
            )
        else:
            status = pb.NODE_STATUS_SUCCESS if node_id in worked else pb.NODE_STATUS_SKIPPED
            yield pb.NodeResult(node_id=node_id, status=status)


def _guilty(error: PenstockError, metrics: SessionMetrics | None) -> Collection[str]:
    """Whose error it is: one node's, or that of all that were at work.

    Those are told by the error where a process died that several were in, and by what they have
    counted where the time is over.
    """
    match error:
        case NodeError():
            return (error.node_id,)
        case SupervisionError():
            return error.at_work
        case TimeOverError() if metrics is not None:
            return _unfinished(metrics)
        case _:
            return ()


def _unfinished(metrics: SessionMetrics) -> set[str]:
    """The nodes that have begun something, or have something to begin."""
    nodes = metrics.nodes.items()
    busy = {node_id for node_id, one in nodes if one.items_processed > one.processing.count}
    return busy | {lane.target for lane in metrics.lanes if lane.waiting and lane.target != CLIENT}


def _fed_by(plan: NodeExecutionPlan, node_id: str) -> list[str]:
    """The nodes without which it would have had no input: one of several is none of them."""
    found = [node_id]
    for name in found:
        before = plan.dependency_graph[name]
        if len(before) == 1 or name in plan.joins:
            found += [other for other in before if other not in found]
    return found


def overall(results: Collection[pb.NodeResult]) -> pb.ExecutionStatus:
    """Partial is a success without the nodes that were skipped, never one with a failure."""
    statuses = {result.status for result in results}
    if pb.NODE_STATUS_FAILED in statuses:
        return pb.EXECUTION_STATUS_FAILED
    if pb.NODE_STATUS_SKIPPED in statuses:
        return pb.EXECUTION_STATUS_PARTIAL_SUCCESS
    return pb.EXECUTION_STATUS_SUCCESS


def _never_fed(lanes: Iterable[LaneMetrics]) -> set[str]:
    """The nodes to which nothing was sent, as they don't take what there was."""
    fed = {lane.target for lane in lanes if lane.sent}
    return {lane.target for lane in lanes if lane.filtered} - fed


def _reached(plan: NodeExecutionPlan, given: Collection[str], never: Collection[str]) -> set[str]:
    """The nodes that something led to: to a join from all sides."""
    reached = {*given, *plan.producers}.difference(never)
    for node_id in plan.order:
        before = plan.dependency_graph[node_id]
        enough = all if node_id in plan.joins else any
        if before and node_id not in never and enough(name in reached for name in before):
            reached.add(node_id)
    return reached
