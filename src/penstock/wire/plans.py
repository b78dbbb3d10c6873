"""A plan and its cost as the messages of ``PlanPipeline``."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.bridges import strategy_for
from penstock.errors import ResourceLimitError
from penstock.planning import NodeExecutionPlan
from penstock.session import Allowance, Cost
from penstock.wire.v1 import penstock_pb2 as pb


def encode_plan(
    plan: NodeExecutionPlan,
    cost: Cost,
    allowances: Iterable[Allowance],
    shortage: ResourceLimitError | None,
) -> pb.Plan:
    """What would be started, and what of the service's budget it would take."""
    reasons = {one.node_id: str(one.assignment_reason) for one in plan.assignments}
    message = pb.Plan(
        estimated_duration_ms=plan.estimated_duration_ms,
        shortage="" if shortage is None else str(shortage),
    )
    for stage in plan.stages:
        nodes = message.stages.add().nodes
        for node in stage.nodes:
            nodes.add(
                node_id=node.node_id,
                node_type=node.node_type,
                executor=str(node.executor),
                reason=reasons[node.node_id],
            )
    for edge in plan.edges:
        ends = (plan.node(edge.source).executor, plan.node(edge.target).executor)
        strategy = str(strategy_for(*ends))
        message.edges.add(**{"from": edge.source, "to": edge.target, "strategy": strategy})
    for one in allowances:
        wished = getattr(cost, one.resource)
        message.resources.add(name=one.resource, cost=wished, limit=one.limit, free=one.free)
    return message
