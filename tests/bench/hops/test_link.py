"""Orders, turns and reports."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.hops import link as link_module
from bench.hops.link import RigLink, SourceLink, TargetLink, new_name
from bench.hops.payload import Arrival, Order, Stamp, Tally
from bench.measurement import PeerError

WHOLE = st.integers(0, (1 << 62) - 1)


def payload(remaining: int, *, turns: bool = True, started_ns: int = 0) -> np.ndarray:
    array = np.zeros(64, np.uint8)
    Stamp(started_ns, remaining, turns).write(array)
    return array


@given(st.builds(Order, WHOLE, WHOLE, st.booleans(), WHOLE))
def test_an_order_arrives_as_it_was_given(order: Order) -> None:
    assert Order.unpack(order.pack()) == order


@given(st.builds(Arrival, WHOLE, WHOLE, st.lists(WHOLE).map(tuple)))
def test_an_arrival_is_reported_as_it_was(arrival: Arrival) -> None:
    assert Arrival.unpack(arrival.pack()) == arrival


def test_an_arrival_is_whole_when_nothing_remains() -> None:
    tally = Tally()
    assert tally.note(payload(1)) == (Stamp(0, 1, True), None)
    _, arrival = tally.note(payload(0))
    assert arrival is not None
    assert (arrival.count, len(arrival.hops_ns)) == (2, 2)
    _, next_one = tally.note(payload(0, turns=False))
    assert next_one is not None
    assert (next_one.count, next_one.hops_ns) == (1, ())


def test_a_source_goes_on_when_the_target_has_the_payload() -> None:
    name = new_name()
    with closing(SourceLink(name)) as source, closing(TargetLink(name)) as target:
        turns = source.turns(Order(2, 64, turns=True))
        assert next(turns) == 1
        assert target.note(payload(1)) is None
        assert next(turns) == 0
        assert target.note(payload(0)) is not None
        assert next(turns, None) is None


def test_without_turns_nobody_is_waited_for() -> None:
    with closing(SourceLink(new_name())) as source:
        assert list(source.turns(Order(3, 64))) == [2, 1, 0]


def test_a_rig_learns_the_processes_and_arrivals_and_gives_orders() -> None:
    name, order, arrival = new_name(), Order(1, 64), Arrival(1, 5)
    with (
        RigLink(name) as rig,
        closing(SourceLink(name)) as source,
        closing(TargetLink(name)) as target,
    ):
        source.ready(4711)
        target.ready()
        assert rig.wait_until_ready() == (4711, os.getpid())
        rig.send(order)
        assert next(source.orders()) == order
        target.report(arrival)
        assert rig.arrival() == arrival


def test_ends_that_say_nothing_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "START_S", 0.01)
    monkeypatch.setattr(link_module, "ANSWER_S", 0.01)
    name = new_name()
    with RigLink(name) as rig:
        with pytest.raises(PeerError, match="not ready"):
            rig.wait_until_ready()
        with pytest.raises(PeerError, match="ended early"):
            rig.send(Order(1, 64))
        with closing(SourceLink(name)):
            rig.send(Order(1, 64))
            with pytest.raises(PeerError, match="no answer"):
                rig.arrival()
