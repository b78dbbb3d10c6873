"""Sums over everything that has come and gone, which never fall, under a bounded set of labels.

Sessions count from zero, and end. The ledger adds what each has counted since it was last heard
of, so that the sums go on when it is gone. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeAlias

from penstock.telemetry.families import Family

Labels: TypeAlias = tuple[str, ...]
Place: TypeAlias = tuple[Family, Labels]
MOST_LABELS = 200
"""Sets of labels that a family may have; what is beyond them counts as ``OTHER``."""
OTHER = "other"
_LONGEST_LABEL = 128


@dataclass(frozen=True, slots=True)
class Times:
    """Counts by bucket, as a ``LatencyHistogram`` has them, and the sum in seconds."""

    counts: Sequence[int] = ()
    total_s: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def __add__(self, other: Times) -> Times:
        counts = [a + b for a, b in zip_longest(self.counts, other.counts, fillvalue=0)]
        return Times(counts, self.total_s + other.total_s)

    def since(self, before: Times) -> Times:
        """What has come since; never less than nothing, whatever who counted says."""
        counts = [
            max(now - then, 0) for now, then in zip_longest(self.counts, before.counts, fillvalue=0)
        ]
        return Times(counts, max(self.total_s - before.total_s, 0.0))


NO_TIMES = Times()


@dataclass(slots=True)
class Tally:
    """What one source has counted since it began, and how things stand with it now."""

    counters: dict[Place, float] = field(default_factory=lambda: defaultdict(float))
    times: dict[Place, Times] = field(default_factory=lambda: defaultdict(Times))
    gauges: dict[Place, float] = field(default_factory=lambda: defaultdict(float))


class Ledger:
    """The sums of all sources; ``gauges`` are of those that are still there."""

    def __init__(self) -> None:
        self._counters: dict[Family, dict[Labels, float]] = {}
        self._times: dict[Family, dict[Labels, Times]] = {}
        self._heard: dict[Hashable, Tally] = {}

    def add(self, family: Family, labels: Labels = (), amount: float = 1.0) -> None:
        """Count one thing more."""
        series = self._counters.setdefault(family, {})
        labels = bounded(labels, series)
        series[labels] = series.get(labels, 0.0) + amount

    def add_times(self, family: Family, labels: Labels, times: Times) -> None:
        series = self._times.setdefault(family, {})
        labels = bounded(labels, series)
        series[labels] = series.get(labels, NO_TIMES) + times

    def update(self, source: Hashable, tally: Tally) -> None:
        """Take in what a source has counted since the last time."""
        known = self._heard.setdefault(source, Tally())
        for (family, labels), amount in tally.counters.items():
            grown = amount - known.counters[family, labels]
            if grown > 0:
                self.add(family, labels, grown)
                known.counters[family, labels] = amount
        for (family, labels), times in tally.times.items():
            new = times.since(known.times[family, labels])
            if new.count:
                self.add_times(family, labels, new)
                known.times[family, labels] += new
        known.gauges = tally.gauges

    def forget(self, source: Hashable) -> None:
        """A source is gone; what it counted stays."""
        self._heard.pop(source, None)

    @property
    def sources(self) -> tuple[Hashable, ...]:
        """Those that were not forgotten."""
        return tuple(self._heard)

    def counters(self, family: Family) -> Mapping[Labels, float]:
        return self._counters.get(family, {})

    def times(self, family: Family) -> Mapping[Labels, Times]:
        return self._times.get(family, {})

    def gauges(self) -> Iterator[tuple[Family, Labels, float]]:
        """How things stand, over all sources that are there."""
        found: dict[Family, dict[Labels, float]] = {}
        for tally in self._heard.values():
            for (family, wished), value in tally.gauges.items():
                series = found.setdefault(family, {})
                labels = bounded(wished, series)
                series[labels] = series.get(labels, 0.0) + value
        for family, series in found.items():
            for labels, value in series.items():
                yield family, labels, value


def bounded(labels: Labels, series: Mapping[Labels, object]) -> Labels:
    """The labels, or, where there would be too many, those that stand for all others."""
    if labels in series:
        return labels
    if len(series) >= MOST_LABELS:
        return (OTHER,) * len(labels)
    return tuple(label[:_LONGEST_LABEL] for label in labels)
