"""Runs the contenders of a case in turns, round by round, and judges what came out.

The machine is shared and its speed varies: what is compared is measured close together, and
medians over the rounds are kept.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from statistics import median

from bench.measurement import (
    OURS,
    Case,
    Effort,
    Figure,
    Measure,
    PeerError,
    Result,
    Row,
    Spread,
    Target,
    Unavailable,
    Verdict,
)


async def run_figure(figure: Figure, effort: Effort) -> Result:
    """Measure all cases of a figure, one after the other."""
    async with figure.cases(effort) as cases:
        rows = [await run_case(case, effort.rounds) for case in cases]
    return Result(figure.name, figure.title, figure.unit, tuple(rows))


async def run_case(case: Case, rounds: int) -> Row:
    """Measure a case: one round that nobody counts, then ``rounds`` that count.

    A peer that raises ``PeerError`` is missing from then on, with all that it gave.
    """
    async with case.open() as contenders:
        missing = {n: c.reason for n, c in contenders.items() if isinstance(c, Unavailable)}
        there = {n: c for n, c in contenders.items() if not isinstance(c, Unavailable)}
        measured = [await _round(there, missing) for _ in range(rounds + 1)]
    return judged(case, measured[1:], missing)


def judged(
    case: Case,
    measured: Sequence[Mapping[str, Sequence[float]]],
    missing: Mapping[str, str],
) -> Row:
    """The row that the rounds' samples, by contender, make."""
    names = [name for name in measured[0] if name not in missing]
    values = {name: spread([one[name] for one in measured]) for name in names}
    ratios = {name: _ratio(values[OURS], values[name]) for name in names if name != OURS}
    return Row(
        case=case.name,
        values=values,
        ratios=ratios,
        missing=missing,
        verdicts=tuple(_verdict(target, values) for target in case.targets),
        message_bytes=case.message_bytes,
        x=case.x,
    )


def spread(rounds: Sequence[Sequence[float]]) -> Spread:
    """Medians over the rounds of each round's percentiles."""
    medians = [median(samples) for samples in rounds]
    tails = [percentile(samples, 99) for samples in rounds]
    return Spread(median(medians), median(tails), tuple(medians))


def percentile(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least ``percent`` per cent of them don't exceed."""
    ranked = sorted(samples)
    return ranked[-(-len(ranked) * percent // 100) - 1]


async def _round(
    contenders: Mapping[str, Measure], missing: dict[str, str]
) -> dict[str, Sequence[float]]:
    """Each contender once; garbage of one is not collected at the next one's expense."""
    samples: dict[str, Sequence[float]] = {}
    for name, measure in contenders.items():
        if name in missing:
            continue
        gc.collect()
        try:
            samples[name] = await measure()
        except PeerError as exc:
            if name == OURS:
                raise
            missing[name] = str(exc)
    return samples


def _ratio(ours: Spread, theirs: Spread) -> float:
    return median(our / their for our, their in zip(ours.rounds, theirs.rounds, strict=True))


def _excess(ours: Spread, theirs: Spread, times: float) -> float:
    """By how much ours is more than so many times theirs."""
    return median(
        our - times * their for our, their in zip(ours.rounds, theirs.rounds, strict=True)
    )


def _verdict(target: Target, values: Mapping[str, Spread]) -> Verdict:
    measured = _measured(target, values)
    return Verdict(target, measured, None if measured is None else target.holds(measured))


def _measured(target: Target, values: Mapping[str, Spread]) -> float | None:
    """What a target bounds."""
    ours = values[OURS]
    if target.of is None:
        return ours.p50
    if target.of not in values:
        return None
    theirs = values[target.of]
    return _ratio(ours, theirs) if target.times is None else _excess(ours, theirs, target.times)
