"""``penstock plan``: what a session would start, why, and at what cost; nothing is started."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from penstock.bridges import strategy_for
from penstock.cli.reaching import add_reaching, client_options, refuse_without_address
from penstock.cli.status import report
from penstock.cli.surroundings import Surroundings, add_manifest, add_surroundings, surroundings
from penstock.cli.table import columns
from penstock.errors import ManifestError
from penstock.manifest import Capacity
from penstock.planning import Edge, NodeExecutionPlan, check_manifest
from penstock.session import Budget, cost_of
from penstock.session.hosting import prewarm_orders, reserve_prewarmed

if TYPE_CHECKING:
    from penstock.client import ClientOptions, PipelinePlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_manifest(parser)
    add_surroundings(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--limits", action="store_true", help="show what a session takes, and what there is"
    )
    add_reaching(parser)


def run(arguments: argparse.Namespace) -> int:
    data = _asked(arguments) if arguments.address else _planned(arguments)
    print(json.dumps(data, ensure_ascii=False) if arguments.json else as_text(data))
    return 0


def _planned(arguments: argparse.Namespace) -> dict[str, Any]:
    refuse_without_address(arguments)
    around = surroundings(arguments)
    found = check_manifest(arguments.manifest, around.catalogue, around.settings)
    report("warning", found.warnings)
    if found.plan is None:
        raise ManifestError(found.faults)
    data = as_data(found.plan)
    return data | limits_of(found.plan, around) if arguments.limits else data


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    options = client_options(arguments)
    return asyncio.run(_plan_of_service(arguments.address, options, arguments.manifest))


async def _plan_of_service(address: str, options: ClientOptions, manifest: Any) -> dict[str, Any]:
    from penstock.client import Client  # noqa: PLC0415  # gRPC, which a local plan doesn't need

    async with Client(address, options) as client:
        return _service_data(await client.plan(manifest))


def as_data(plan: NodeExecutionPlan) -> dict[str, Any]:
    """The plan as ``--json`` prints it."""
    reasons = {one.node_id: str(one.assignment_reason) for one in plan.assignments}
    return {
        "stages": [
            [
                {
                    "node_id": node.node_id,
                    "node_type": node.node_type,
                    "executor": str(node.executor),
                    "reason": reasons[node.node_id],
                    "params": dict(node.params),
                }
                for node in stage.nodes
            ]
            for stage in plan.stages
        ],
        "edges": [_edge(plan, edge) for edge in plan.edges],
        "bridges": _bridges(plan),
        "dependency_graph": {node: list(before) for node, before in plan.dependency_graph.items()},
        "estimated_duration_ms": plan.estimated_duration_ms,
    }


def limits_of(plan: NodeExecutionPlan, around: Surroundings) -> dict[str, Any]:
    """What a session of a service takes, and what one configured so has when it is idle.

    Raises ``ConfigurationError`` for limits that it wouldn't start with here.
    """
    from penstock.service.fitting import fitted, for_sessions  # noqa: PLC0415  # gRPC

    settings = fitted(around.settings, Capacity.here())
    budget, cost = Budget(settings.limits, for_sessions(settings)), cost_of(plan, hosted=True)
    reserve_prewarmed(budget, prewarm_orders(settings, around.catalogue))
    shortage = budget.shortage(cost)
    resources = [
        {
            "name": one.resource,
            "cost": getattr(cost, one.resource),
            "limit": one.limit,
            "free": one.free,
        }
        for one in budget.allowances()
    ]
    return {"resources": resources, "shortage": "" if shortage is None else str(shortage)}


def _service_data(plan: PipelinePlan) -> dict[str, Any]:
    """The same of what a service answered, as far as it says it."""
    stages: list[list[dict[str, Any]]] = []
    for node in plan.nodes:
        fields = dataclasses.asdict(node)
        if fields.pop("stage") == len(stages):
            stages.append([])
        stages[-1].append(fields)
    return {
        "stages": stages,
        "edges": [
            {"from": edge.source, "to": edge.target, "strategy": edge.strategy}
            for edge in plan.edges
        ],
        "estimated_duration_ms": plan.estimated_duration_ms,
        "resources": [dataclasses.asdict(one) for one in plan.resources],
        "shortage": plan.shortage,
    }


def _edge(plan: NodeExecutionPlan, edge: Edge) -> dict[str, str]:
    strategy = strategy_for(plan.node(edge.source).executor, plan.node(edge.target).executor)
    return {"from": edge.source, "to": edge.target, "strategy": str(strategy)}


def _bridges(plan: NodeExecutionPlan) -> list[dict[str, Any]]:
    """One for each ordered pair of executors that a connection crosses."""
    pairs = Counter(
        (plan.node(edge.source).executor, plan.node(edge.target).executor) for edge in plan.edges
    )
    return [
        {
            "source_executor": str(source),
            "target_executor": str(target),
            "strategy": str(strategy_for(source, target)),
            "lanes": lanes,
        }
        for (source, target), lanes in pairs.items()
    ]


def as_text(plan: dict[str, Any]) -> str:
    """The same for a reader: nodes, connections, bridges and costs as tables."""
    nodes = [
        (str(index), node["node_id"], node["node_type"], node["executor"], node["reason"])
        for index, stage in enumerate(plan["stages"])
        for node in stage
    ]
    parts = [columns(("stage", "node", "type", "executor", "reason"), nodes)]
    if plan["edges"]:
        edges = [(edge["from"], edge["to"], edge["strategy"]) for edge in plan["edges"]]
        parts.append(columns(("from", "to", "strategy"), edges))
    if plan.get("bridges"):
        bridges = [
            (one["source_executor"], one["target_executor"], one["strategy"], str(one["lanes"]))
            for one in plan["bridges"]
        ]
        parts.append(columns(("from executor", "to executor", "bridge", "lanes"), bridges))
    if plan["estimated_duration_ms"]:
        parts.append(f"estimated duration: {plan['estimated_duration_ms']} ms")
    if "resources" in plan:
        parts.append(_limits_text(plan))
    return "\n\n".join(parts)


def _limits_text(plan: dict[str, Any]) -> str:
    rows = [
        (one["name"], str(one["cost"]), str(one["limit"]), str(one["free"]))
        for one in plan["resources"]
    ]
    table = columns(("resource", "one session", "limit", "free"), rows)
    return f"{table}\n\nit would be refused: {plan['shortage']}" if plan["shortage"] else table
