"""Runs the contenders of a case in turns, round by round, and judges what came out.

The machine is shared and its speed varies: what is compared is measured close together, and
medians over the rounds are kept.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from statistics import median

from bench.measurement import OURS, Case, Effort, Figure, Measure, Result, Row, Spread, Target


async def run_figure(figure: Figure, effort: Effort) -> Result:
    """Measure all cases of a figure, one after the other."""
    rows = [await run_case(case, effort.rounds) for case in figure.cases(effort)]
    return Result(figure.name, figure.title, figure.unit, tuple(rows))


async def run_case(case: Case, rounds: int) -> Row:
    """Measure a case: one round that nobody counts, then ``rounds`` that count."""
    async with case.open() as contenders:
        await _round(contenders)
        measured = [await _round(contenders) for _ in range(rounds)]
    return judged(case, measured)


def judged(case: Case, measured: Sequence[Mapping[str, Sequence[float]]]) -> Row:
    """The row that the rounds' samples, by contender, make."""
    values = {name: spread([one[name] for one in measured]) for name in measured[0]}
    ratio = _ratio(values, case.reference)
    return Row(
        case=case.name,
        values=values,
        reference=case.reference,
        ratio=ratio,
        target=case.target,
        reached=_reached(case.target, values[OURS].p50, ratio),
        message_bytes=case.message_bytes,
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


async def _round(contenders: Mapping[str, Measure]) -> dict[str, Sequence[float]]:
    """Each contender once; garbage of one is not collected at the next one's expense."""
    samples: dict[str, Sequence[float]] = {}
    for name, measure in contenders.items():
        gc.collect()
        samples[name] = await measure()
    return samples


def _ratio(values: Mapping[str, Spread], reference: str | None) -> float | None:
    if reference is None:
        return None
    pairs = zip(values[OURS].rounds, values[reference].rounds, strict=True)
    return median(ours / theirs for ours, theirs in pairs)


def _reached(target: Target | None, value: float, ratio: float | None) -> bool | None:
    if target is None:
        return None
    measured = value if target.of == "value" else ratio
    return measured is not None and measured <= target.limit
