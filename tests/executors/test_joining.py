"""Which inputs of a join belong together, what is dropped, and how much it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bridges import NO_EPOCHS, DirectLane, EpochPage, LaneSpec
from penstock.data import Kind, Message, Text
from penstock.executors.emitter import Counters
from penstock.executors.joining import Matching
from penstock.nodes import JoinParams

TEXT = frozenset({Kind.TEXT})


def matching(*sources, capacity=100, epochs=NO_EPOCHS, **params):
    stats = Counters()
    intake = Matching(JoinParams(**params), stats, epochs)
    specs = [
        LaneSpec(1, name, "join", TEXT, capacity, slot=epochs.slots.get(name, 0))
        for name in sources
    ]
    lanes = [DirectLane(spec, epochs) for spec in specs]
    intake.lanes += [lane.consumer for lane in lanes]
    return intake, lanes, stats


def give(lane, *places):
    """Messages at (sequence, part, capture time), as many of these as there are."""
    for place in places:
        sequence, part, timestamp_us = (*place, 0, 0)[:3]
        name = f"{lane.spec.source}{sequence}"
        assert lane.producer.offer(Message(Text(name), sequence, part, timestamp_us))


def all_of(intake):
    found = []
    while (message := intake.take()) is not None:
        found.append(message)
    return found


def test_one_of_each_with_the_same_number_belong_together():
    intake, (a, b), stats = matching("a", "b")
    give(a, (1,), (2,))
    assert intake.take() is None
    assert intake.lacking() == ["b"]
    give(b, (1,))
    (message,) = all_of(intake)
    assert message.value == {"a": Text("a1"), "b": Text("b1")}
    assert message.sequence == 1
    assert stats.unmatched == 0


def test_the_last_of_the_inputs_has_completed_it():
    intake, (a, b), _ = matching("a", "b")
    assert a.producer.offer(Message(Text("a"), 1, entered_ns=7))
    assert b.producer.offer(Message(Text("b"), 1, entered_ns=5))
    assert intake.take().entered_ns == 7


def test_arguments_are_named_as_the_parameters_say_in_the_order_of_the_lanes():
    intake, lanes, _ = matching("n1", "n2", "n3", inputs={"voice": "n2"})
    for lane in lanes:
        give(lane, (1,))
    assert list(intake.take().value) == ["n1", "voice", "n3"]


def test_the_parts_of_a_sequence_are_matched_each_with_its_like():
    intake, (a, b), stats = matching("a", "b")
    give(a, (1, 0), (1, 1), (1, 2), (2, 0))
    give(b, (1, 0), (1, 1), (2, 0))
    assert [(m.sequence, m.part) for m in all_of(intake)] == [(1, 0), (1, 1), (2, 0)]
    assert stats.unmatched == 1


def test_what_the_others_have_overtaken_is_dropped_and_counted():
    intake, (a, b), stats = matching("a", "b")
    give(a, (1,), (2,), (3,), (6,))
    give(b, (3,), (4,), (5,), (6,))
    assert [m.sequence for m in all_of(intake)] == [3, 6]
    assert stats.unmatched == 4


def test_capture_times_within_the_tolerance_belong_together():
    intake, (a, b), stats = matching("a", "b", tolerance_us=5)
    give(a, (1, 0, 100), (2, 0, 120), (3, 0, 140))
    give(b, (7, 0, 96), (8, 0, 111), (9, 0, 122), (10, 0, 146))
    joined = all_of(intake)
    assert [(m.value["a"].text, m.value["b"].text) for m in joined] == [("a1", "b7"), ("a2", "b9")]
    assert [(m.sequence, m.timestamp_us) for m in joined] == [(1, 100), (9, 122)]
    assert stats.unmatched == 2
    assert intake.lacking() == ["a"]


def test_it_takes_one_of_a_lane_and_leaves_the_others_there():
    intake, (a, b), _ = matching("a", "b", capacity=3)
    give(a, (1,), (2,), (3,))
    assert intake.take() is None
    give(a, (4,))
    assert intake.take() is None
    assert not a.producer.offer(Message(Text("a5"), 5))
    assert len(a.queue) == 3
    give(b, (1,))
    assert intake.take() is not None


def test_when_a_lane_has_ended_the_rest_of_the_others_is_dropped():
    intake, (a, b), stats = matching("a", "b")
    give(a, (1,), (2,), (3,))
    give(b, (1,))
    b.producer.end()
    assert len(all_of(intake)) == 1
    assert not intake.ended
    give(a, (4,))
    a.producer.end()
    assert all_of(intake) == []
    assert intake.ended
    assert stats.unmatched == 3


@pytest.mark.parametrize("tolerance_us", [-1, 0.5])
def test_a_tolerance_is_a_number_of_microseconds(tolerance_us):
    with pytest.raises(ValueError, match="tolerance_us"):
        JoinParams(tolerance_us=tolerance_us)


@given(
    numbers=st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=4),
    steps=st.lists(st.integers(0, 3), max_size=150),
)
def test_what_is_common_to_all_is_joined_in_order_whenever_it_comes(numbers, steps):
    intake, lanes, stats = matching(*"abcd"[: len(numbers)])
    waiting = [sorted(these) for these in numbers]
    joined = []
    for step in [*steps, *(list(range(len(numbers))) * 31)]:
        if step < len(waiting) and waiting[step]:
            give(lanes[step], (waiting[step].pop(0),))
            joined += all_of(intake)
    for lane in lanes:
        lane.producer.end()
    joined += all_of(intake)
    common = sorted(set.intersection(*numbers))
    assert [m.sequence for m in joined] == common
    assert intake.ended
    assert stats.unmatched == sum(map(len, numbers)) - len(common) * len(numbers)


def test_what_an_interrupt_has_made_stale_is_joined_with_nothing():
    """One that is held, and then one of those that were joined."""
    page = EpochPage({"in": 0, "a": 1, "b": 2}, shared=False)
    intake, (a, b), stats = matching("a", "b", epochs=page)
    give(a, (1,))
    assert intake.take() is None
    page.interrupt(1, [])
    give(b, (1,))
    assert intake.take() is None
    assert stats.unmatched == 1
    assert a.producer.offer(Message(Text("a1"), 1, 0, 0, epoch=1))
    joined = intake.take()
    assert joined is not None
    assert not intake.is_stale(joined)
    page.interrupt(2, [])
    assert intake.is_stale(joined)
