"""Which numbers of chunks are taken, and what they count as."""

from __future__ import annotations

import tracemalloc

import pytest

from penstock.errors import SequenceError
from penstock.service.numbering import Numbering

Sent = list[tuple[int, str]]


def taken(sent: Sent) -> list[int | None]:
    numbering = Numbering()
    return [numbering.take(number, source.split("+")) for number, source in sent]


@pytest.mark.parametrize(
    ("sent", "numbers"),
    [
        pytest.param([(0, "a"), (0, "a"), (0, "a")], [0, None, None], id="none"),
        pytest.param([(0, "a"), (1, "a"), (2, "a")], [0, 1, 2], id="from 0"),
        pytest.param([(7, "a"), (8, "a")], [7, 8], id="from anywhere"),
        pytest.param([(0, "a"), (1, "b"), (2, "a")], [0, 1, 2], id="through the stream"),
        pytest.param([(0, "a"), (0, "b"), (1, "a"), (1, "b")], [0, 0, 1, 1], id="by source"),
        pytest.param(
            [(0, "a"), (0, "a"), (0, "b"), (0, "a")], [0, None, None, None], id="none ever"
        ),
        pytest.param([(0, "a"), (0, "b"), (0, "a")], [0, 0, None], id="none, as it turns out"),
        pytest.param([(3, "a"), (3, "b"), (4, "b"), (5, "b")], [3, 3, 4, 5], id="source by source"),
        pytest.param([(1, "a+b"), (2, "a+b")], [1, 2], id="several sources at once"),
        pytest.param([(2**64 - 2, "a"), (2**64 - 1, "a")], [2**64 - 2, 2**64 - 1], id="to the end"),
    ],
)
def test_numbers_that_follow_one_another_are_taken(sent: Sent, numbers: list[int | None]) -> None:
    assert taken(sent) == numbers


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param([(1, "a"), (3, "a")], (2,), id="a gap"),
        pytest.param([(1, "a"), (2, "a"), (2, "a")], (3,), id="a repeat"),
        pytest.param([(5, "a"), (4, "a")], (6,), id="backwards"),
        pytest.param([(0, "a"), (2, "a")], (0, 1), id="a gap after 0"),
        pytest.param([(0, "a"), (0, "a"), (1, "a")], (0,), id="numbered all at once"),
        pytest.param([(1, "a"), (0, "a")], (2,), id="no longer numbered"),
        pytest.param([(1, "a"), (2, "b"), (3, "a"), (3, "b")], (4,), id="two ways of counting"),
        pytest.param([(1, "a"), (1, "b"), (3, "a")], (2,), id="a gap in a source"),
        pytest.param([(2**64 - 1, "a"), (0, "a")], (2**64,), id="beyond the end"),
    ],
)
def test_a_gap_or_a_repeat_is_refused(sent: Sent, expected: tuple[int, ...]) -> None:
    with pytest.raises(SequenceError) as caught:
        taken(sent)
    assert caught.value.found == sent[-1][0]
    assert caught.value.expected == expected


@pytest.mark.parametrize("step", [0, 1], ids=["no numbers", "through the stream"])
def test_names_of_sources_are_not_kept_without_end(step: int) -> None:
    """Of what is given up nobody asks whether there is such a node."""
    numbering, count = Numbering(), 300
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            numbering.take(number * step, [f"{number:0100000}"])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 3 << 20
    assert numbering.take(count * step, ["a"]) == (count if step else None)
    with pytest.raises(SequenceError):
        numbering.take(count + 2, ["a"])
