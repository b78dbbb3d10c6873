"""The payloads that every contender sends, and the clock that they carry.

A source stamps the time *before* it fetches memory and writes the payload, a target when it
holds the whole payload: a hop is everything between. CLOCK_MONOTONIC is one for all processes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<qq")
_ORDER = struct.Struct("<qq")
_ARRIVAL = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class Order:
    """Have the source send ``count`` payloads of ``nbytes`` each."""

    count: int
    nbytes: int

    def pack(self) -> bytes:
        return _ORDER.pack(self.count, self.nbytes)

    @classmethod
    def unpack(cls, data: bytes) -> Order:
        return cls(*_ORDER.unpack(data))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the target saw of an order: ``took_ns`` from its first stamp to its last arrival."""

    count: int
    took_ns: int

    def pack(self) -> bytes:
        return _ARRIVAL.pack(self.count, self.took_ns)

    @classmethod
    def unpack(cls, data: bytes) -> Arrival:
        return cls(*_ARRIVAL.unpack(data))


class Pattern:
    """Writes payloads: the same bytes each time, with a header of their own."""

    def __init__(self, nbytes: int) -> None:
        self._bytes = (np.arange(nbytes) % 251).astype(np.uint8)

    def write(self, into: NDArray[np.uint8], started_ns: int, remaining: int) -> None:
        np.copyto(into, self._bytes)
        _HEADER.pack_into(into.data, 0, started_ns, remaining)

    def series(self, count: int) -> Iterator[NDArray[np.uint8]]:
        """Payloads in arrays of their own, each written when it is asked for."""
        for remaining in reversed(range(count)):
            started_ns = perf_counter_ns()
            array = np.empty_like(self._bytes)
            self.write(array, started_ns, remaining)
            yield array


class Tally:
    """Counts what arrives until an order is complete."""

    def __init__(self) -> None:
        self._count = 0
        self._started_ns = 0

    def note(self, payload: NDArray[Any]) -> Arrival | None:
        """A payload is here; the whole arrival when it was the last one."""
        now_ns = perf_counter_ns()
        started_ns, remaining = _HEADER.unpack_from(payload.data)
        if not self._count:
            self._started_ns = started_ns
        self._count += 1
        if remaining:
            return None
        arrival = Arrival(self._count, now_ns - self._started_ns)
        self._count = 0
        return arrival
