"""What a benchmark gives: figures of rows, each with its contenders' values and verdicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

OURS = "penstock"
FLOOR = "floor"

Measure: TypeAlias = Callable[[], Awaitable[Sequence[float]]]
"""Measures one round: its samples, in the figure's unit. May raise ``PeerError``."""


class PeerError(Exception):
    """A peer is not there, can't be started, or failed; its text says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Stands in for a contender that can't be measured."""

    reason: str


Contenders: TypeAlias = Mapping[str, Measure | Unavailable]
Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Contenders]]
"""Sets contenders up, all at the same time, and takes them down."""


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
    """A bound for our figure, from above unless ``at_least``.

    ``limit`` is a ratio to the contender ``of``, or, where that is None, in the figure's unit.
    "Three times faster than a peer" is a ratio of at most one third. With ``times`` the limit,
    in the figure's unit, is on what ours has more than so many times the contender's.
    """

    limit: float
    of: str | None = None
    at_least: bool = False
    times: float | None = None

    def holds(self, measured: float) -> bool:
        return measured >= self.limit if self.at_least else measured <= self.limit


@dataclass(frozen=True, slots=True)
class Case:
    """One row to measure.

    Our own contender is called ``penstock``. ``message_bytes`` is given where a rate of messages
    is measured, ``x`` where the row has a place on a plot.
    """

    name: str
    open: Open
    targets: tuple[Target, ...] = ()
    message_bytes: int | None = None
    x: float | None = None


Cases: TypeAlias = Callable[[Effort], AbstractAsyncContextManager[Sequence[Case]]]
"""Gives a figure's cases, with whatever stands for all of them."""


def apart(cases: Callable[[Effort], Sequence[Case]]) -> Cases:
    """The ``Cases`` of a figure whose cases have nothing in common."""

    @asynccontextmanager
    async def given(effort: Effort) -> AsyncIterator[Sequence[Case]]:
        yield cases(effort)

    return given


@dataclass(frozen=True, slots=True)
class Figure:
    """A question, and the cases that answer it; ``name`` is its name on the command line."""

    name: str
    title: str
    unit: str
    cases: Cases


@dataclass(frozen=True, slots=True)
class Spread:
    """A contender's samples: ``p50`` and ``p99`` are medians over the rounds.

    ``rounds`` has the median of each round.
    """

    p50: float
    p99: float
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what was measured: a ratio, a value, or how much more ours has.

    None where its reference is missing.
    """

    target: Target
    measured: float | None
    reached: bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """A case as measured.

    ``ratios`` has ours to each other contender's: the median of the rounds' ratios.
    ``missing`` says why a contender has no values.
    """

    case: str
    values: Mapping[str, Spread]
    ratios: Mapping[str, float]
    missing: Mapping[str, str]
    verdicts: tuple[Verdict, ...]
    message_bytes: int | None
    x: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A figure as measured."""

    figure: str
    title: str
    unit: str
    rows: tuple[Row, ...]
