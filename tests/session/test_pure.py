"""The pure parts: stall rings, budgets, options."""

from pathlib import Path

import pipelines
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ResourceLimitError
from penstock.manifest import Capacity, Limits
from penstock.session import Budget, Cost, SessionOptions, find_ring
from penstock.session.stall import Wait, stuck

NAMES = st.sampled_from("abcdefgh")


def test_a_chain_is_no_ring():
    assert find_ring({"client": ["a"], "a": ["b"], "b": ["c"]}) is None


def test_a_ring_is_found_behind_dead_ends():
    waits = {"client": ["x", "a"], "x": ["y"], "a": ["b"], "b": ["y", "client"]}
    assert find_ring(waits) == ("client", "a", "b")


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=8))
def test_a_ring_is_a_ring_and_none_is_missed(waits):
    ring = find_ring(waits)
    if ring is not None:
        for name, following in zip(ring, (*ring[1:], ring[0]), strict=True):
            assert following in waits[name]
    assert (ring is None) == (not has_cycle(waits))


def has_cycle(waits):
    """Whether removing members that wait for nobody, again and again, leaves some."""
    left = {name: set(following) for name, following in waits.items()}
    while True:
        free = [name for name, following in left.items() if not following & set(left)]
        if not free:
            return bool(left)
        for name in free:
            del left[name]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), max_size=30))
def test_what_is_admitted_never_exceeds_the_limits(wishes):
    limits = Limits(max_processes=10, max_shared_memory_bytes=100, max_sessions=5)
    budget = Budget(limits)
    admitted = {}
    for number, (processes, nbytes) in enumerate(wishes):
        session_id, cost = str(number), Cost(processes, nbytes)
        try:
            budget.reserve(session_id, cost)
        except ResourceLimitError:
            if admitted:
                budget.release(admitted.popitem()[0])
        else:
            admitted[session_id] = cost
        assert sum(c.processes for c in admitted.values()) <= 10
        assert sum(c.shared_memory_bytes for c in admitted.values()) <= 100
        assert len(admitted) <= 5
        assert budget.sessions == tuple(admitted)


def test_a_refusal_names_the_resource():
    with pytest.raises(ResourceLimitError, match="processes: 3 wished, 2 free of 2"):
        Budget(Limits(max_processes=2)).reserve("s", Cost(3, 0))


def test_who_waits_for_one_that_goes_on_is_not_stuck():
    waits = {
        "join": Wait(("slow", "quiet")),
        "slow": Wait(("split",), for_any=True),
        "quiet": Wait(("split", "busy"), for_any=True),
        "split": Wait(("join",)),
        "busy": Wait(()),
    }
    assert stuck(waits) == {"join": ["slow"], "slow": ["split"], "split": ["join"]}
    assert stuck({**waits, "split": Wait(("busy",))}) == {}
    assert stuck({**waits, "slow": Wait(("split", "busy"), for_any=True)}) == {}


names = st.sampled_from("abcdef")


@given(
    st.dictionaries(
        names, st.builds(Wait, st.lists(names, unique=True).map(tuple), st.booleans()), max_size=6
    )
)
def test_where_any_is_stuck_there_is_a_ring_and_nobody_in_it_can_go_on(waits):
    held = stuck(waits)
    ring = find_ring(held)
    assert (ring is None) == (not held)
    for name, on in held.items():
        assert on, "whoever is stuck waits for one that is"
        assert set(on) <= set(held)
        if waits[name].for_any:
            assert set(on) == set(waits[name].on)


MACHINE = Capacity(memory_bytes=1000, processes=100, open_files=100)


def test_what_is_promised_of_memory_is_there():
    budget = Budget(Limits(max_shared_memory_bytes=900), MACHINE)
    budget.reserve("a", Cost(1, 500, buffered_bytes=100, node_memory_bytes=300))
    with pytest.raises(ResourceLimitError, match="memory_bytes: 101 wished, 100 free of 1000"):
        budget.reserve("b", Cost(1, 101))
    budget.reserve("c", Cost(1, 100))


def test_a_session_has_a_limit_of_its_own():
    limits = Limits(max_shared_memory_bytes=900, max_shared_memory_bytes_per_session=300)
    expected = "shared_memory_bytes_per_session: 301 wished, 300 free of 300"
    with pytest.raises(ResourceLimitError, match=expected):
        Budget(limits, MACHINE).reserve("a", Cost(1, 301))


def test_a_budget_tells_what_is_free_and_when_that_changes():
    budget = Budget(Limits(max_processes=7, max_sessions=2), MACHINE)
    seen = []
    budget.on_change = lambda: seen.append({a.resource: a.free for a in budget.allowances()})
    budget.reserve("a", Cost(3, 10, 20, 30))
    budget.release("a")
    budget.release("a")
    assert [(free["processes"], free["memory_bytes"], free["sessions"]) for free in seen] == [
        (4, 940, 1),
        (7, 1000, 2),
    ]
    with pytest.raises(ResourceLimitError):
        budget.reserve("b", Cost(8, 0))
    assert len(seen) == 2


@pytest.mark.parametrize("one", ["gain.py", Path("gain.py"), pipelines.OnlyText, pipelines])
def test_nodes_of_ones_own_are_a_sequence(one):
    with pytest.raises(TypeError, match=r"^nodes: expected a sequence of them, such as "):
        SessionOptions(nodes=one)
    assert SessionOptions(nodes=[one]).nodes == [one]
