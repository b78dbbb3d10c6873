"""Lanes inside one process: bounded, ordered, lossless or dropping as they are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bridges import DirectLane, LaneSpec, LaneState
from penstock.data import Json, Kind, Message, Text, held_bytes


def lane(**options):
    return DirectLane(LaneSpec(1, "a", "b", frozenset({Kind.TEXT}), **options))


def text(number):
    return Message(Text(str(number)), number)


def test_a_reference_passes():
    direct = lane()
    message = text(1)
    assert direct.producer.offer(message)
    assert direct.consumer.take() is message


def test_a_full_lane_blocks_and_is_unblocked_by_a_take():
    direct = lane(capacity=2)
    changes = []
    direct.producer.on_change = lambda: changes.append(direct.machine.state)
    assert direct.producer.offer(text(1))
    assert direct.producer.offer(text(2))
    assert not direct.producer.offer(text(3))
    assert direct.machine.state is LaneState.BLOCKED
    assert not direct.producer.offer(text(3))
    assert direct.consumer.take().sequence == 1
    assert changes == [LaneState.IDLE]
    assert direct.producer.offer(text(3))
    assert direct.producer.statistics().blocked_ns > 0
    assert direct.producer.statistics().dropped == {}


def test_a_block_counts_while_it_lasts_and_no_longer():
    direct = lane(capacity=1)
    direct.producer.offer(text(1))
    direct.producer.offer(text(2))
    first = direct.producer.statistics().blocked_ns
    second = direct.producer.statistics().blocked_ns
    assert 0 < first < second
    direct.consumer.take()
    after = direct.producer.statistics().blocked_ns
    assert direct.producer.statistics().blocked_ns == after > second
    direct.producer.offer(text(2))
    direct.producer.offer(text(3))
    direct.producer.close()
    closed = direct.producer.statistics().blocked_ns
    assert direct.producer.statistics().blocked_ns == closed > after


@pytest.mark.parametrize(("keep", "kept"), [("newest", [3, 4, 5]), ("oldest", [1, 2, 3])])
def test_without_backpressure_the_excess_is_dropped_and_counted(keep, kept):
    direct = lane(capacity=3, backpressure=False, keep=keep)
    for number in range(1, 6):
        assert direct.producer.offer(text(number))
    taken = [direct.consumer.take().sequence for _ in kept]
    stats = direct.producer.statistics()
    assert taken == kept
    assert stats.sent == 5
    assert stats.dropped == {"full": 2}


def test_other_kinds_are_filtered_and_counted():
    direct = lane()
    assert direct.producer.offer(Message(Json(1)))
    assert direct.consumer.take() is None
    assert direct.producer.statistics().filtered == {"json": 1}
    assert direct.producer.statistics().sent == 0


def test_the_end_is_confirmed_when_everything_is_taken():
    direct = lane()
    direct.producer.offer(text(1))
    direct.producer.end()
    assert not direct.consumer.ended
    assert not direct.producer.finished
    direct.consumer.take()
    assert direct.consumer.ended
    assert direct.producer.finished


@given(
    capacity=st.integers(1, 5),
    backpressure=st.booleans(),
    steps=st.lists(st.booleans(), max_size=60),
)
def test_nothing_is_lost_but_what_is_counted_and_the_bound_holds(capacity, backpressure, steps):
    direct = lane(capacity=capacity, backpressure=backpressure)
    taken, next_number = [], 1
    for offer in steps:
        if offer:
            next_number += direct.producer.offer(text(next_number))
        elif (message := direct.consumer.take()) is not None:
            taken.append(message.sequence)
        assert len(direct.queue) <= capacity
    waiting = len(direct.queue)
    stats = direct.producer.statistics()
    assert taken == sorted(taken)
    assert stats.sent == next_number - 1
    assert stats.sent == len(taken) + waiting + sum(stats.dropped.values())
    assert not (backpressure and stats.dropped)


def sized(number, length):
    return Message(Text("x" * length), number)


def test_a_lane_is_bounded_in_bytes_too():
    ten = held_bytes(sized(0, 10_000).value)
    direct = lane(max_buffered_bytes=2 * ten + 100)
    assert direct.producer.offer(sized(1, 10_000))
    assert direct.producer.offer(sized(2, 10_000))
    assert not direct.producer.offer(sized(3, 10_000))
    assert direct.machine.state is LaneState.BLOCKED
    assert direct.consumer.take().sequence == 1
    assert direct.producer.offer(sized(3, 10_000))


def test_one_message_of_any_size_passes():
    direct = lane(max_buffered_bytes=1000)
    assert direct.producer.offer(sized(1, 100_000))
    assert not direct.producer.offer(sized(2, 0))
    direct.consumer.take()
    assert direct.producer.offer(sized(2, 0))


def test_a_large_message_makes_room_by_dropping_as_many_as_it_takes():
    one = held_bytes(sized(0, 1000).value)
    direct = lane(max_buffered_bytes=4 * one, backpressure=False)
    for number in range(4):
        direct.producer.offer(sized(number, 1000))
    assert direct.producer.offer(sized(4, 2 * one))
    stats = direct.producer.statistics()
    assert (stats.sent, stats.dropped) == (5, {"full": 3})
    assert [direct.consumer.take().sequence for _ in range(2)] == [3, 4]


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=60), st.booleans())
def test_what_waits_never_exceeds_the_bytes(steps, backpressure):
    direct = lane(max_buffered_bytes=5000, capacity=7, backpressure=backpressure)
    for number, (length, take) in enumerate(steps):
        direct.producer.offer(sized(number, length))
        if take:
            direct.consumer.take()
        waiting = [held_bytes(message.value) for message in direct.queue]
        assert sum(waiting) <= 5000 or len(waiting) == 1
        assert len(waiting) <= 7
