"""How times are spread, counted in buckets that double. Pure.

Who measures keeps a plain list of counts and adds one to it for each message; who reads gets
a ``LatencyHistogram``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

BUCKETS = 48
"""Bucket ``i`` counts times of ``i`` significant bits in ns: [2**(i - 1), 2**i). The last has
everything from 39 hours on."""


def no_counts() -> list[int]:
    """Buckets that nothing has been counted in."""
    return [0] * BUCKETS


def count_time(counts: list[int], time_ns: int) -> None:
    """Count one time in a list made by ``no_counts``; what a clock set back counts as 0."""
    counts[min(max(time_ns, 0).bit_length(), BUCKETS - 1)] += 1


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """Counts by bucket, the shortest times first; empty where nothing was measured.

    ``a + b`` is the histogram of both.
    """

    counts: tuple[int, ...] = ()

    @classmethod
    def merged(cls, parts: Iterable[Iterable[int]]) -> LatencyHistogram:
        """Of several lists of counts, which may differ in length."""
        return cls(tuple(map(sum, zip_longest(*parts, fillvalue=0))))

    @property
    def count(self) -> int:
        """How many times were measured."""
        return sum(self.counts)

    def percentile_us(self, percent: float) -> float | None:
        """A time in µs that ``percent`` of the times don't exceed; None where there are none.

        Interpolated within its bucket, so that it is off by less than a factor of two. Raises
        ``ValueError`` outside 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile is 0 to 100, got {percent}")
        rank = self.count * percent / 100
        below = 0
        for bucket, count in enumerate(self.counts):
            if count and below + count >= rank:
                return _within(bucket, (rank - below) / count) / 1e3
            below += count
        return None

    def __add__(self, other: LatencyHistogram) -> LatencyHistogram:
        return LatencyHistogram.merged((self.counts, other.counts))


def _within(bucket: int, share: float) -> float:
    """The time in ns that lies at ``share`` between the bounds of a bucket."""
    if not bucket:
        return 0.0
    lower = 1 << (bucket - 1)
    return lower * (1 + share)
