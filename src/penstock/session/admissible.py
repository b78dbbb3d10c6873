"""What a session runs: the plan of a manifest, and that as far as it fits its limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.manifest import Capacity, Manifest, parse_manifest
from penstock.nodes import Catalogue
from penstock.planning import NodeExecutionPlan, make_plan
from penstock.session.cost import Cost, cost_of, within_memory
from penstock.session.options import SessionOptions

Written = str | bytes | os.PathLike[str] | Mapping[str, Any] | Manifest
ManifestSource = Written | NodeExecutionPlan


def within(plan: NodeExecutionPlan, options: SessionOptions) -> tuple[NodeExecutionPlan, Cost]:
    """The plan as it will run, and what is reserved for it.

    A limit that its user sets for himself keeps nodes from memory, but keeps none for them; one
    that is no less than the machine has keeps them from nothing.
    """
    hosted, limit = options.hosts is not None, options.max_memory_bytes
    cost = cost_of(plan, hosted=hosted)
    if limit is None or limit >= Capacity.here().memory_bytes:
        return plan, cost
    fitted = within_memory(plan, limit, hosted=hosted)
    less = cost_of(fitted, hosted=hosted)
    nodes = min(cost.node_memory_bytes, less.node_memory_bytes)
    return fitted, replace(less, node_memory_bytes=nodes)


def planned(
    manifest: Written,
    options: SessionOptions,
    durations: Mapping[str, float],
) -> NodeExecutionPlan:
    """The plan of a manifest; raises ``ManifestError`` with every fault."""
    catalogue = options.catalogue or Catalogue.installed()
    if options.nodes:
        catalogue = catalogue.extended(*options.nodes)
    return make_plan(
        parse_manifest(manifest),
        catalogue,
        options.settings,
        trusted=options.trusted,
        durations=durations,
    )
