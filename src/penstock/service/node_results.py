"""What became of each node of a session that was run to its end, or failed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from penstock.errors import NodeError, PenstockError, SupervisionError
from penstock.planning import NodeExecutionPlan
from penstock.session import NodeMetrics
from penstock.wire.errors import encode_error
from penstock.wire.v1 import common_pb2 as pb


def completed(
    plan: NodeExecutionPlan, nodes: Mapping[str, NodeMetrics], given: Collection[str]
) -> list[pb.NodeResult]:
    """Of a session in which nothing failed, whose sources ``given`` had an input.

    A node is skipped that no input and no producer leads to, and that gave nothing of itself.
    """
    reached = _reached(plan, given)
    return [
        pb.NodeResult(
            node_id=node_id,
            status=pb.NODE_STATUS_SUCCESS
            if node_id in reached or nodes[node_id].outputs
            else pb.NODE_STATUS_SKIPPED,
        )
        for node_id in plan.order
    ]


def failed(
    plan: NodeExecutionPlan, nodes: Mapping[str, NodeMetrics] | None, error: PenstockError
) -> Iterator[pb.NodeResult]:
    """Of a session that an error has ended: whom it names has failed.

    The others have done what they could, or were skipped as nothing had come to them yet.
    ``nodes`` is None for a session that never executed; one whose process died may not have come
    to say what it had done, but who fed those that failed has done something.
    """
    guilty = _guilty(error)
    executed = nodes or {}
    worked = {node_id for node_id, one in executed.items() if one.items_processed or one.outputs}
    if nodes is not None:
        worked.update(name for node_id in guilty for name in _fed_by(plan, node_id))
    for node_id in plan.order:
        if node_id in guilty:
            yield pb.NodeResult(
                node_id=node_id, status=pb.NODE_STATUS_FAILED, error=encode_error(error)
            )
        else:
            status = pb.NODE_STATUS_SUCCESS if node_id in worked else pb.NODE_STATUS_SKIPPED
            yield pb.NodeResult(node_id=node_id, status=status)


def _guilty(error: PenstockError) -> tuple[str, ...]:
    """Whose error it is; all that were at work in a process that died, where that was several."""
    if isinstance(error, NodeError):
        return (error.node_id,)
    return error.at_work if isinstance(error, SupervisionError) else ()


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


def _reached(plan: NodeExecutionPlan, given: Collection[str]) -> set[str]:
    reached = {*given, *plan.producers}
    for node_id in plan.order:
        if not reached.isdisjoint(plan.dependency_graph[node_id]):
            reached.add(node_id)
    return reached
