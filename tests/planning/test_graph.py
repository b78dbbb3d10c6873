from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock.planning.graph import cycles, predecessors, stages

NAMES = [f"n{index}" for index in range(8)]
GRAPHS = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from(NAMES), unique=True, max_size=4) for name in NAMES}
)


def acyclic(graph: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: [other for other in targets if other > name] for name, targets in graph.items()}


def test_a_diamond() -> None:
    graph = {"d": [], "a": ["b", "c"], "b": ["c", "d"], "c": ["d"]}
    assert stages(graph) == [["a"], ["b"], ["c"], ["d"]]
    assert predecessors(graph) == {"d": ("b", "c"), "a": (), "b": ("a",), "c": ("a", "b")}


@given(GRAPHS)
def test_a_stage_is_the_first_after_all_dependencies(graph: dict[str, list[str]]) -> None:
    graph = acyclic(graph)
    stage_of = {name: index for index, level in enumerate(stages(graph)) for name in level}
    assert stage_of.keys() == graph.keys()
    for name, sources in predecessors(graph).items():
        assert stage_of[name] == max((stage_of[one] + 1 for one in sources), default=0)
    assert not list(cycles(graph))


@given(GRAPHS)
def test_cycles_are_found_exactly_where_there_are_any(graph: dict[str, list[str]]) -> None:
    found = list(cycles(graph))
    for cycle in found:
        assert len(set(cycle)) == len(cycle)
        for name, following in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            assert following in graph[name]
    ordered = sum(len(level) for level in stages(graph))
    assert bool(found) == (ordered < len(graph))


def test_every_knot_gives_a_cycle_that_starts_where_the_graph_does() -> None:
    graph = {"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c", "d"], "e": ["e"]}
    assert list(cycles(graph)) == [["a", "b"], ["c", "d"], ["e"]]


def test_long_chains_need_no_recursion() -> None:
    names = [f"n{index}" for index in range(20_000)]
    chain = {name: [following] for name, following in pairwise(names)}
    ring = {**chain, names[-1]: [names[0]]}
    assert len(stages({**chain, names[-1]: []})) == 20_000
    assert list(cycles(ring)) == [names]
