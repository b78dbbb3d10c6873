"""A service's plan for a manifest, as its client reads it."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.wire.v1 import penstock_pb2 as pb


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node, the executor that it would have, and why; ``stage`` counts from 0."""

    node_id: str
    node_type: str
    executor: str
    reason: str
    stage: int


@dataclass(frozen=True, slots=True)
class PlannedEdge:
    """A connection and how data would cross it."""

    source: str
    target: str
    strategy: str


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """What one session takes at most of a resource that the service has ``limit`` of.

    ``free`` is what nobody had reserved when the service answered.
    """

    name: str
    cost: int
    limit: int
    free: int


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """What a service would start, and what that costs.

    ``estimated_duration_ms`` is 0 where nothing has been measured; ``shortage`` says why a
    session would not be admitted now, and is empty where it would.
    """

    nodes: tuple[PlannedNode, ...]
    edges: tuple[PlannedEdge, ...]
    resources: tuple[PlannedResource, ...]
    estimated_duration_ms: int
    shortage: str


def pipeline_plan(message: pb.Plan) -> PipelinePlan:
    return PipelinePlan(
        nodes=tuple(
            PlannedNode(node.node_id, node.node_type, node.executor, node.reason, index)
            for index, stage in enumerate(message.stages)
            for node in stage.nodes
        ),
        edges=tuple(
            PlannedEdge(getattr(edge, "from"), edge.to, edge.strategy) for edge in message.edges
        ),
        resources=tuple(
            PlannedResource(one.name, one.cost, one.limit, one.free) for one in message.resources
        ),
        estimated_duration_ms=message.estimated_duration_ms,
        shortage=message.shortage,
    )
