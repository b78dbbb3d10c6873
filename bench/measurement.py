"""What a benchmark gives: figures of rows, each with its contenders' values and a verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, TypeAlias

OURS = "penstock"

Measure: TypeAlias = Callable[[], Awaitable[Sequence[float]]]
"""Measures one round: its samples, in the figure's unit."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure; ``quick`` only shows that everything runs."""

    rounds: int
    quick: bool

    def count(self, full: int) -> int:
        """How many repetitions to make where a full run makes ``full``."""
        return max(full // 100, 3) if self.quick else full


@dataclass(frozen=True, slots=True)
class Target:
    """At most ``limit``: times the reference (``ratio``), or in the figure's unit (``value``)."""

    limit: float
    of: Literal["ratio", "value"] = "ratio"


@dataclass(frozen=True, slots=True)
class Case:
    """One row to measure.

    ``open`` sets the contenders up, all at the same time, and takes them down; our own is
    called ``penstock``. The ratio is ours to that of ``reference``, where there is one.
    ``message_bytes`` is given where a rate of messages is measured.
    """

    name: str
    open: Callable[[], AbstractAsyncContextManager[Mapping[str, Measure]]]
    reference: str | None = "floor"
    target: Target | None = None
    message_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A question, and the cases that answer it; ``name`` is its name on the command line."""

    name: str
    title: str
    unit: str
    cases: Callable[[Effort], Sequence[Case]]


@dataclass(frozen=True, slots=True)
class Spread:
    """A contender's samples: ``p50`` and ``p99`` are medians over the rounds.

    ``rounds`` has the median of each round.
    """

    p50: float
    p99: float
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A case as measured; ``ratio`` is the median of the rounds' ratios."""

    case: str
    values: Mapping[str, Spread]
    reference: str | None
    ratio: float | None
    target: Target | None
    reached: bool | None
    message_bytes: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """A figure as measured."""

    figure: str
    title: str
    unit: str
    rows: tuple[Row, ...]
