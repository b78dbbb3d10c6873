"""How long it takes to parse, validate and plan a manifest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns

from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from penstock.manifest import Settings, parse_manifest
from penstock.nodes import Catalogue
from penstock.planning import make_plan

_FAN_IN = (1, 7)
"""Each node has edges from the nodes that lie so many places before it."""


def manifest_text(size: int) -> str:
    """A graph of ``size`` nodes with about two edges each."""
    edges = [(i - back, i) for i in range(size) for back in _FAN_IN if i >= back]
    nodes = [{"id": f"n{i}", "node_type": "PassThrough", "params": {}} for i in range(size)]
    connections = [{"from": f"n{source}", "to": f"n{target}"} for source, target in edges]
    manifest = {"version": "v1", "metadata": {"name": "graph"}}
    return json.dumps({**manifest, "nodes": nodes, "connections": connections})


async def times_ms(work: Callable[[], object], count: int) -> Sequence[float]:
    """How long each of ``count`` calls took."""
    samples = []
    for _ in range(count):
        started = perf_counter_ns()
        work()
        samples.append((perf_counter_ns() - started) / 1e6)
    return samples


@asynccontextmanager
async def _open(size: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    text = manifest_text(size)
    catalogue, settings = Catalogue.installed(), Settings()

    def plan() -> object:
        return make_plan(parse_manifest(text), catalogue, settings)

    yield {
        "json.loads": partial(times_ms, partial(json.loads, text), count),
        OURS: partial(times_ms, plan, count),
    }


def _cases(effort: Effort) -> list[Case]:
    return [
        Case("10 nodes", partial(_open, 10, effort.count(200)), (Target(10),)),
        Case("1,000 nodes", partial(_open, 1000, effort.count(10))),
    ]


PLAN_TIME = Figure("plan_time", "Parse, validate and plan: p50 / p99", "ms", apart(_cases))
