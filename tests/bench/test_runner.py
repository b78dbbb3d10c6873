"""Rounds, medians, ratios and verdicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from bench.measurement import Case, Measure, Target
from bench.runner import judged, percentile, run_case, spread


def case(target: Target | None = None, reference: str | None = "floor") -> Case:
    return Case("a case", opened([]), reference, target)


def opened(log: list[str]) -> Callable[[], AbstractAsyncContextManager[Mapping[str, Measure]]]:
    """Contenders that note when they are measured."""

    @asynccontextmanager
    async def open_them() -> AsyncIterator[Mapping[str, Measure]]:
        async def measure(name: str) -> Sequence[float]:
            log.append(name)
            return [float(len(log))]

        yield {name: lambda name=name: measure(name) for name in ("floor", "penstock")}
        log.append("closed")

    return open_them


async def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    log: list[str] = []
    row = await run_case(Case("a case", opened(log)), rounds=2)
    assert log == ["floor", "penstock"] * 3 + ["closed"]
    assert row.values["floor"].rounds == (3, 5)
    assert row.values["penstock"].rounds == (4, 6)


def test_the_ratio_compares_what_was_measured_in_the_same_round() -> None:
    """The machine was ten times slower in the second round, for both."""
    rounds = [{"floor": [1.0], "penstock": [3.0]}, {"floor": [10.0], "penstock": [30.0]}]
    assert judged(case(), rounds).ratio == 3


def test_one_disturbed_round_does_not_decide() -> None:
    rounds = [{"floor": [1.0], "penstock": [value]} for value in (2.0, 50.0, 2.0)]
    row = judged(case(Target(2)), rounds)
    assert row.values["penstock"].p50 == 2
    assert row.reached


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (None, None),
        (Target(2), True),
        (Target(1.9), False),
        (Target(4, of="value"), True),
        (Target(3.9, of="value"), False),
    ],
)
def test_a_target_bounds_the_ratio_or_the_value(
    target: Target | None, reached: bool | None
) -> None:
    assert judged(case(target), [{"floor": [2.0], "penstock": [4.0]}]).reached is reached


def test_without_a_reference_there_is_no_ratio() -> None:
    row = judged(case(reference=None), [{"penstock": [4.0]}])
    assert row.ratio is None


def test_percentiles_are_samples() -> None:
    samples = [float(n) for n in range(200, 0, -1)]
    assert percentile(samples, 99) == 198
    assert percentile(samples, 100) == 200
    assert percentile([7.0], 99) == 7


def test_a_spread_is_the_median_of_the_rounds() -> None:
    found = spread([[1, 2, 9], [3, 4, 5], [7, 8, 30]])
    assert (found.p50, found.p99, found.rounds) == (4, 9, (2, 4, 8))
