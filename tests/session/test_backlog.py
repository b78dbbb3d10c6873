"""What waits for taps: bounded together, counted once, and each reader's losses told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock.data import Binary, Message
from penstock.data.sizes import VALUE_BYTES
from penstock.session import Tap
from penstock.session.bus.backlog import TAP_MESSAGES, Backlog, Room

MOST = 100_000


class Node:
    """What gives outputs, and its taps."""

    def __init__(self, room: Room) -> None:
        self.backlog = room.backlog()
        self.taps: list[Tap] = []
        self.given = 0

    def tap(self) -> Tap:
        self.taps.append(Tap("n", self.backlog, self.taps.remove))
        return self.taps[-1]

    def give(self, nbytes: int, *, unseen: int = 0) -> None:
        """An output; ``unseen`` before it were lost on their way."""
        self.given += unseen + 1
        self.backlog.shown += unseen + 1
        value = Binary(np.zeros(nbytes - VALUE_BYTES, np.uint8))
        if self.taps:
            self.backlog.keep(Message(value, self.given), len(self.taps))


async def read(tap: Tap) -> list[int]:
    """All that waits, by its numbers."""
    return [(await anext(tap)).sequence for _ in range(tap.waiting)]


async def test_what_several_taps_wait_for_is_held_once() -> None:
    room = Room(MOST)
    node = Node(room)
    taps = [node.tap() for _ in range(100)]
    for _ in range(10):
        node.give(10_000)
    assert room.held == MOST
    assert [await read(tap) for tap in taps[1:]] == [list(range(1, 11))] * 99
    assert room.held == MOST
    taps[0].close()
    assert room.held == 0
    assert [tap.lost for tap in taps] == [0] * 100


async def test_who_holds_most_loses_and_who_keeps_up_does_not() -> None:
    room = Room(MOST)
    busy, calm = Node(room), Node(room)
    slow, quick, seldom = busy.tap(), busy.tap(), calm.tap()
    calm.give(10_000)
    for number in range(50):
        busy.give(10_000)
        assert await read(quick) == [number + 1]
    assert room.held == MOST
    assert (slow.lost, quick.lost, seldom.lost) == (41, 0, 0)
    event = await anext(slow)
    assert (event.sequence, event.lost) == (42, 41)
    assert await read(seldom) == [1]


async def test_those_that_are_equally_slow_share_what_there_is() -> None:
    room = Room(MOST)
    nodes = [Node(room) for _ in range(5)]
    taps = [node.tap() for node in nodes]
    for _ in range(20):
        for node in nodes:
            node.give(10_000)
    assert [await read(tap) for tap in taps] == [[19, 20]] * 5


async def test_the_last_of_each_node_always_waits() -> None:
    room = Room(MOST)
    one, other = Node(room), Node(room)
    taps = [one.tap(), other.tap()]
    for _ in range(3):
        one.give(3 * MOST)
        other.give(2 * MOST)
    assert [await read(tap) for tap in taps] == [[3], [3]]
    assert [tap.lost for tap in taps] == [2, 2]


async def test_small_ones_are_bounded_by_their_number() -> None:
    node = Node(Room(1 << 30))
    tap = node.tap()
    for _ in range(TAP_MESSAGES + 5):
        node.give(VALUE_BYTES)
    assert (tap.waiting, tap.lost) == (TAP_MESSAGES, 5)


async def test_each_counts_from_its_own_beginning_to_its_own_end() -> None:
    node = Node(Room(MOST))
    node.give(1000)
    first = node.tap()
    node.give(1000, unseen=2)
    second = node.tap()
    node.give(1000, unseen=3)
    events = [await anext(first), await anext(first), await anext(second)]
    assert [(event.sequence, event.lost) for event in events] == [(4, 2), (8, 5), (8, 3)]
    node.backlog.shown += 7  # nothing came of these
    assert (first.lost, second.lost) == (12, 10)
    first.close()
    node.give(1000, unseen=1)
    assert (first.lost, first.waiting, second.lost) == (12, 0, 11)
    with pytest.raises(StopAsyncIteration):
        await anext(first)


def step(tap: Tap) -> Any:
    """The next event, which waits already."""
    try:
        anext(tap).send(None)
    except StopIteration as exc:
        return exc.value
    raise AssertionError("it waited")


class Watching(RuleBasedStateMachine):
    """Nodes that give, and readers that come, read and leave as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(MOST)
        self.nodes = [Node(self.room) for _ in range(3)]
        self.seen: dict[Tap, tuple[int, int]] = {}  # what each began after, how many it had

    @rule(at=st.integers(0, 2))
    def come(self, at: int) -> None:
        node = self.nodes[at]
        self.seen[node.tap()] = node.given, 0

    @rule(at=st.integers(0, 2), nbytes=st.integers(VALUE_BYTES, MOST), unseen=st.integers(0, 3))
    def give(self, at: int, nbytes: int, unseen: int) -> None:
        self.nodes[at].give(nbytes, unseen=unseen)

    @rule(at=st.integers(0, 2), which=st.integers(0, 5))
    def read(self, at: int, which: int) -> None:
        for tap in self.nodes[at].taps[which : which + 1]:
            if tap.waiting:
                before, had = self.seen[tap]
                event = step(tap)
                assert event.lost == event.sequence - before - had - 1
                self.seen[tap] = before, had + 1

    @rule(at=st.integers(0, 2), which=st.integers(0, 5))
    def leave(self, at: int, which: int) -> None:
        for tap in self.nodes[at].taps[which : which + 1]:
            tap.close()

    @invariant()
    def every_output_is_given_waits_or_is_lost(self) -> None:
        for node in self.nodes:
            for tap in node.taps:
                before, had = self.seen[tap]
                assert tap.lost >= 0
                assert before + had + tap.waiting + tap.lost == node.given

    @invariant()
    def nothing_is_held_that_nobody_waits_for(self) -> None:
        for node in self.nodes:
            assert len(node.backlog) == max((tap.waiting for tap in node.taps), default=0)
        assert self.room.held <= MOST or not any(map(_has_several, self._backlogs()))

    def _backlogs(self) -> list[Backlog]:
        return [node.backlog for node in self.nodes]


def _has_several(backlog: Backlog) -> bool:
    return len(backlog) > 1


TestWatching = Watching.TestCase
