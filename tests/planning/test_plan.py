"""A plan's estimate: the heaviest way through it."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from penstock.data import ExecutorType
from penstock.manifest import ManifestConfiguration
from penstock.planning import ExecutionStage, NodeAssignment, NodeExecutionPlan
from penstock.planning.graph import predecessors, stages

NAMES = [f"n{index}" for index in range(8)]


def plan_of(graph: dict[str, list[str]]) -> NodeExecutionPlan:
    """A plan of nodes whose types are called as they are."""
    return NodeExecutionPlan(
        stages=tuple(
            ExecutionStage(tuple(assigned(name) for name in level), index)
            for index, level in enumerate(stages(graph))
        ),
        dependency_graph=predecessors(graph),
        estimated_duration_ms=0,
        edges=(),
        assignments=(),
        configuration=ManifestConfiguration(Path(sys.executable)),
    )


def assigned(name: str) -> NodeAssignment:
    kinds = frozenset[str]()
    return NodeAssignment(name, name, ExecutorType.NATIVE, {}, "m:C", kinds, kinds, False)


@given(
    st.fixed_dictionaries({name: st.lists(st.sampled_from(NAMES), unique=True) for name in NAMES}),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9)),
)
def test_the_estimate_is_the_heaviest_way(
    graph: dict[str, list[str]], durations: dict[str, int]
) -> None:
    graph = {name: [to for to in targets if to > name] for name, targets in graph.items()}

    def heaviest(name: str) -> int:
        return durations.get(name, 0) + max(map(heaviest, graph[name]), default=0)

    plan = plan_of(graph)
    assert plan.estimated(durations).estimated_duration_ms == max(map(heaviest, graph))
    assert plan.estimated_duration_ms == 0
