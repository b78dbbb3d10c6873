"""Consumers that are woken together, after their producer has done what it had to."""

import pytest

from penstock.data import Message, Text
from penstock.executors.multiprocess.transport.ring import hold_bells, release_bells


@pytest.fixture
def pair(lanes):
    """A lane whose consumer sleeps, with what has woken it since in ``woken``."""
    pair = lanes()
    assert pair.drain() == []
    pair.woken = []
    pair.receiver.on_change = lambda: pair.woken.append(len(pair.woken))
    yield pair
    release_bells()


def offer(pair, text):
    assert pair.sender.offer(Message(Text(text)))
    pair.settle()


def test_a_consumer_that_sleeps_is_woken_at_once(pair):
    offer(pair, "a")
    assert pair.woken == [0]


def test_bells_that_are_held_ring_once_when_they_are_released(pair):
    hold_bells()
    hold_bells()  # no more than once
    offer(pair, "a")
    offer(pair, "b")
    assert pair.woken == []
    release_bells()
    pair.settle()
    assert pair.woken == [0]
    assert [message.value for message in pair.drain()] == [Text("a"), Text("b")]


def test_after_their_release_they_ring_at_once_again(pair):
    hold_bells()
    release_bells()
    release_bells()  # where nobody holds any
    offer(pair, "a")
    assert pair.woken == [0]


def test_a_lane_that_is_closed_meanwhile_wakes_its_consumer(pair):
    hold_bells()
    offer(pair, "the last")
    pair.sender.close()
    assert [message.value for message in pair.drain()] == [Text("the last")]
    assert pair.woken
    release_bells()  # the bell is gone, and its number may be another's
