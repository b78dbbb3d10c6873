"""Spans come in any order, from anywhere, and as many as somebody likes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from penstock.data import CLIENT
from penstock.executors.trail import NodeSpan
from penstock.session import NodeSpans
from penstock.telemetry.chunks import MOST_OPEN, MOST_STEPS, Chunk, ChunkBook

NOW = 10_000
WAY = [
    (CLIENT, NodeSpan(7, 0, CLIENT, 100, 110)),
    ("a", NodeSpan(7, 0, CLIENT, 150, 250)),
    ("b", NodeSpan(7, 0, "a", 300, 400)),
    (CLIENT, NodeSpan(7, 0, "b", 450, 460)),
]


class Book:
    """A book, what it lost, and what it has given."""

    def __init__(self, *, room: int = 1 << 20) -> None:
        self.lost: Counter[str] = Counter()
        self.given: list[Chunk] = []
        self._room = room
        self.book = ChunkBook(50, self._admit, self.lost)

    def _admit(self) -> bool:
        self._room -= 1
        return self._room >= 0

    def add(self, node_id: str, *spans: NodeSpan, lost: int = 0, now: int = NOW) -> None:
        self.given += self.book.add(NodeSpans(node_id, 1, spans, lost), now)


@given(st.permutations(WAY))
def test_in_whatever_order_they_come_a_chunk_has_its_way(told: list[tuple[str, NodeSpan]]) -> None:
    book = Book()
    for node_id, span in told:
        book.add(node_id, span)
    [chunk] = book.book.rest()
    assert (chunk.sequence, chunk.started_ns, chunk.ended_ns) == (7, 100, 460)
    steps = [(step.node_id, step.waited_ns) for step in chunk.steps()]
    assert steps == [(CLIENT, None), ("a", 40), ("b", 50), (CLIENT, 50)]


def test_a_chunk_is_complete_when_nothing_more_was_heard_of_it() -> None:
    book = Book()
    book.add("a", NodeSpan(1, 0, CLIENT, 100, 200), now=1000)
    book.add("a", NodeSpan(2, 0, CLIENT, 100, 200), now=2000)
    assert [chunk.sequence for chunk in book.book.quiet(1500)] == [1]
    assert [chunk.sequence for chunk in book.book.rest()] == [2]


def test_of_too_many_chunks_the_oldest_is_given_as_it_is() -> None:
    book = Book()
    book.add("a", *(NodeSpan(number, 0, CLIENT, 100, 200) for number in range(MOST_OPEN + 3)))
    assert [chunk.sequence for chunk in book.given] == [0, 1, 2]


def test_what_there_is_no_room_for_is_counted() -> None:
    book = Book(room=1)
    book.add("a", *[NodeSpan(1, 0, CLIENT, 100, 200)] * (MOST_STEPS + 5), lost=3)
    book.add("a", NodeSpan(2, 0, CLIENT, 100, 200), NodeSpan(2, 1, CLIENT, 100, 200))
    assert book.lost == {"rate": 5 + 2, "on_the_way": 3}
    assert [chunk.sequence for chunk in book.book.rest()] == [1]


@given(st.integers(-(1 << 63), 1 << 63), st.integers(-(1 << 63), 1 << 63), st.integers(-9, 9))
def test_times_that_can_not_be_are_given_up(started: int, ended: int, lost: int) -> None:
    book = Book()
    book.add("a", NodeSpan(1, 0, CLIENT, started, ended), lost=lost)
    chunks = list(book.book.rest())
    assert len(chunks) + book.lost["invalid"] == 1
    for chunk in chunks:
        assert 50 <= chunk.started_ns <= chunk.ended_ns
    assert book.lost["on_the_way"] >= 0
