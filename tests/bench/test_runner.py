"""Rounds, medians, ratios and verdicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bench.measurement import (
    Case,
    Contenders,
    Effort,
    Figure,
    Open,
    PeerError,
    Target,
    Unavailable,
    apart,
)
from bench.runner import judged, percentile, run_case, run_figure, spread


def case(*targets: Target) -> Case:
    return Case("a case", opened([]), targets)


def opened(log: list[str], **others: Unavailable) -> Open:
    """Contenders that note when they are measured."""

    @asynccontextmanager
    async def open_them() -> AsyncIterator[Contenders]:
        async def measure(name: str) -> Sequence[float]:
            log.append(name)
            if name == "peer" and log.count("peer") > 2:
                raise PeerError("ended early")
            return [float(len(log))]

        yield {
            **others,
            **{name: lambda name=name: measure(name) for name in ("floor", "penstock", "peer")},
        }
        log.append("closed")

    return open_them


async def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    log: list[str] = []
    row = await run_case(Case("a case", opened(log)), rounds=1)
    assert log == ["floor", "penstock", "peer"] * 2 + ["closed"]
    assert row.values["floor"].rounds == (4,)
    assert row.values["penstock"].rounds == (5,)


async def test_a_peer_that_is_not_there_is_told_and_ends_nothing() -> None:
    absent = Unavailable("not installed")
    row = await run_case(Case("a case", opened([], ray=absent), (Target(3, "ray"),)), rounds=1)
    assert row.missing == {"ray": "not installed"}
    assert "ray" not in row.values
    assert "ray" not in row.ratios
    (verdict,) = row.verdicts
    assert (verdict.measured, verdict.reached) == (None, None)


async def test_a_peer_that_fails_is_measured_no_more_and_has_no_figures() -> None:
    log: list[str] = []
    row = await run_case(Case("a case", opened(log)), rounds=3)
    assert log.count("peer") == 3
    assert log.count("floor") == 4
    assert row.missing == {"peer": "ended early"}
    assert row.values.keys() == {"floor", "penstock"}


async def test_that_we_fail_is_no_matter_of_peers() -> None:
    @asynccontextmanager
    async def open_them() -> AsyncIterator[Contenders]:
        async def measure() -> Sequence[float]:
            raise PeerError("no answer")

        yield {"penstock": measure}

    with pytest.raises(PeerError, match="no answer"):
        await run_case(Case("a case", open_them), rounds=1)


async def test_what_stands_for_all_cases_is_there_while_they_are_measured() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def cases(_effort: Effort) -> AsyncIterator[Sequence[Case]]:
        log.append("up")
        yield [Case("one", opened(log)), Case("two", opened(log))]
        log.append("down")

    result = await run_figure(Figure("f", "F", "µs", cases), Effort(1, quick=True))
    assert [row.case for row in result.rows] == ["one", "two"]
    assert (log[0], log[-1]) == ("up", "down")
    assert log.count("up") == 1


async def test_cases_that_share_nothing() -> None:
    async with apart(lambda effort: [case()] * effort.rounds)(Effort(2, quick=True)) as cases:
        assert len(cases) == 2


def test_the_ratio_compares_what_was_measured_in_the_same_round() -> None:
    """The machine was ten times slower in the second round, for both."""
    rounds = [{"floor": [1.0], "penstock": [3.0]}, {"floor": [10.0], "penstock": [30.0]}]
    assert judged(case(), rounds, {}).ratios == {"floor": 3}


def test_one_disturbed_round_does_not_decide() -> None:
    rounds = [{"floor": [1.0], "penstock": [value]} for value in (2.0, 50.0, 2.0)]
    row = judged(case(Target(2, "floor")), rounds, {})
    assert row.values["penstock"].p50 == 2
    assert row.verdicts[0].reached


@pytest.mark.parametrize(
    ("target", "measured", "reached"),
    [
        (Target(2, "floor"), 2, True),
        (Target(1.9, "floor"), 2, False),
        (Target(4), 4, True),
        (Target(3.9), 4, False),
        (Target(4, at_least=True), 4, True),
        (Target(4.1, at_least=True), 4, False),
        (Target(0.8, "peer", at_least=True), 0.5, False),
        (Target(1 / 3, "peer"), 0.5, False),
        (Target(1, "floor", times=1.5), 1, True),
        (Target(0.9, "floor", times=1.5), 1, False),
        (Target(0, "floor", times=3), -2, True),
        (Target(1, "nobody", times=2), None, None),
    ],
)
def test_a_target_bounds_a_ratio_the_value_or_what_it_has_more(
    target: Target, measured: float | None, reached: bool | None
) -> None:
    rounds = [{"floor": [2.0], "penstock": [4.0], "peer": [8.0]}]
    (verdict,) = judged(case(target), rounds, {}).verdicts
    assert (verdict.measured, verdict.reached) == (measured, reached)


def test_a_row_may_have_several_targets() -> None:
    row = judged(case(Target(1, "floor"), Target(5)), [{"floor": [2.0], "penstock": [4.0]}], {})
    assert [verdict.reached for verdict in row.verdicts] == [False, True]


def test_percentiles_are_samples() -> None:
    samples = [float(n) for n in range(200, 0, -1)]
    assert percentile(samples, 99) == 198
    assert percentile(samples, 100) == 200
    assert percentile([7.0], 99) == 7


def test_a_spread_is_the_median_of_the_rounds() -> None:
    found = spread([[1, 2, 9], [3, 4, 5], [7, 8, 30]])
    assert (found.p50, found.p99, found.rounds) == (4, 9, (2, 4, 8))
