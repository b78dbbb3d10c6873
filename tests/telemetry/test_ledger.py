"""What sessions have counted stays counted, and no client can make the list of it grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.telemetry.families import Family
from penstock.telemetry.ledger import MOST_LABELS, NO_TIMES, OTHER, Ledger, Tally, Times

SEEN = Family("things_seen_total", "counter", ("sort",), "Things.")
TIMES = Family("things_seconds", "histogram", ("sort",), "Times.", (4, 8))
THERE = Family("things", "gauge", ("sort",), "Things that are there.")


def tally(sort: str = "a", *, seen: float = 0, there: float = 0, times: Times = NO_TIMES) -> Tally:
    return Tally({(SEEN, (sort,)): seen}, {(TIMES, (sort,)): times}, {(THERE, (sort,)): there})


def standing(ledger: Ledger) -> dict[tuple[str, ...], float]:
    return {labels: value for _, labels, value in ledger.gauges()}


def test_what_a_source_counted_stays_when_it_is_gone() -> None:
    ledger = Ledger()
    ledger.update("first", tally(seen=3, there=2))
    ledger.update("second", tally(seen=4, there=1))
    assert (ledger.counters(SEEN), standing(ledger)) == ({("a",): 7}, {("a",): 3})
    ledger.update("first", tally(seen=5, there=0))
    ledger.forget("first")
    assert (ledger.counters(SEEN), standing(ledger)) == ({("a",): 9}, {("a",): 1})


def test_one_that_comes_again_under_its_name_counts_from_zero() -> None:
    ledger = Ledger()
    for _ in range(2):
        ledger.update("s", tally(seen=3))
        ledger.forget("s")
    assert ledger.counters(SEEN) == {("a",): 6}


def test_times_add_up_bucket_by_bucket() -> None:
    ledger = Ledger()
    ledger.update("first", tally(times=Times((0, 1, 2), 3.0)))
    ledger.update("first", tally(times=Times((0, 1, 4, 1), 8.0)))
    ledger.update("second", tally(times=Times((1,), 0.5)))
    assert ledger.times(TIMES) == {("a",): Times([1, 1, 4, 1], 8.5)}


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(-9, 99), st.integers(-9, 99))))
def test_sums_never_fall_whatever_a_source_says(said: list[tuple[str, int, int]]) -> None:
    ledger = Ledger()
    before = (0.0, Times())
    for source, seen, spent in said:
        ledger.update(source, tally(seen=seen, times=Times((0, spent), spent / 2)))
        now = (ledger.counters(SEEN).get(("a",), 0.0), ledger.times(TIMES).get(("a",), Times()))
        assert now[0] >= before[0]
        assert now[1].count >= before[1].count
        assert now[1].total_s >= before[1].total_s
        before = now


def test_labels_beyond_the_bound_count_as_others() -> None:
    ledger = Ledger()
    for number in range(MOST_LABELS + 50):
        ledger.update(number, tally(f"sort {number}", seen=1, there=1, times=Times((1,), 0.1)))
    for series in (ledger.counters(SEEN), standing(ledger)):
        assert len(series) == MOST_LABELS + 1
        assert series[OTHER,] == 50
    assert ledger.times(TIMES)[OTHER,].count == 50


def test_a_label_has_a_length() -> None:
    ledger = Ledger()
    ledger.add(SEEN, ("x" * 10_000,))
    [[label]] = ledger.counters(SEEN)
    assert len(label) == 128
