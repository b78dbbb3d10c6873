"""``penstock plan``: what a session would start, and why; nothing is started."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from penstock.bridges import strategy_for
from penstock.cli.status import report
from penstock.cli.surroundings import add_manifest, add_surroundings, surroundings
from penstock.cli.table import columns
from penstock.errors import ManifestError
from penstock.planning import Edge, NodeExecutionPlan, check_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_manifest(parser)
    add_surroundings(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    around = surroundings(arguments)
    found = check_manifest(arguments.manifest, around.catalogue, around.settings)
    report("warning", found.warnings)
    if found.plan is None:
        raise ManifestError(found.faults)
    data = as_data(found.plan)
    print(json.dumps(data, ensure_ascii=False) if arguments.json else as_text(data))
    return 0


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
    """The same for a reader: nodes, connections and bridges as tables."""
    nodes = [
        (str(index), node["node_id"], node["node_type"], node["executor"], node["reason"])
        for index, stage in enumerate(plan["stages"])
        for node in stage
    ]
    parts = [columns(("stage", "node", "type", "executor", "reason"), nodes)]
    if plan["edges"]:
        edges = [(edge["from"], edge["to"], edge["strategy"]) for edge in plan["edges"]]
        parts.append(columns(("from", "to", "strategy"), edges))
        bridges = [
            (one["source_executor"], one["target_executor"], one["strategy"], str(one["lanes"]))
            for one in plan["bridges"]
        ]
        parts.append(columns(("from executor", "to executor", "bridge", "lanes"), bridges))
    if plan["estimated_duration_ms"]:
        parts.append(f"estimated duration: {plan['estimated_duration_ms']} ms")
    return "\n\n".join(parts)
