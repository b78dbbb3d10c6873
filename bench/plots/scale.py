"""Where values lie along an axis, and which of them are written there."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_MOST_STEPS = 6


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low`` to ``high`` to pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    @classmethod
    def linear(cls, values: Collection[float], start: float, end: float) -> Scale:
        """From zero to a round number over the highest value."""
        step = _step(max(values))
        return cls(0, step * math.ceil(max(values) / step), start, end, log=False)

    @classmethod
    def decades(cls, values: Collection[float], start: float, end: float) -> Scale:
        """Logarithmic, from one power of ten to another."""
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(10.0**low, 10.0 ** max(high, low + 1), start, end, log=True)

    @classmethod
    def spread(cls, values: Collection[float], start: float, end: float) -> Scale:
        """Logarithmic, from the lowest value to the highest."""
        return cls(min(values), max(values), start, end, log=True)

    def at(self, value: float) -> float:
        """The pixel that a value lies at."""
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> Sequence[float]:
        """Round values: powers of ten, or steps of 1, 2 or 5 times one."""
        if self.log:
            low, high = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0**exponent for exponent in range(low, high + 1)]
        step = _step(self.high)
        return [step * number for number in range(round(self.high / step) + 1)]


def _step(high: float) -> float:
    """The smallest round step by which few enough lead to ``high``."""
    rough = (high or 1.0) / _MOST_STEPS
    decade = 10.0 ** math.floor(math.log10(rough))
    return next(decade * factor for factor in (1, 2, 5, 10) if decade * factor >= rough)
