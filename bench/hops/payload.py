"""The payloads that every contender sends, and the clock that they carry.

A source stamps the time *before* it fetches memory and writes the payload, a target when it
holds the whole payload: a hop is everything between. CLOCK_MONOTONIC is one for all processes.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STAMP = struct.Struct("<qq?")
_ORDER = struct.Struct("<qq?q")
_ARRIVAL = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class Order:
    """Have the source send ``count`` payloads of ``nbytes`` each.

    In ``turns`` it waits before each until the target has the one before, and, with an
    ``interval_us``, until so much time has passed since that one was due.
    """

    count: int
    nbytes: int
    turns: bool = False
    interval_us: int = 0

    def pack(self) -> bytes:
        return _ORDER.pack(self.count, self.nbytes, self.turns, self.interval_us)

    @classmethod
    def unpack(cls, data: bytes) -> Order:
        return cls(*_ORDER.unpack(data))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the target saw of an order.

    ``took_ns`` is from its first stamp to its last arrival, ``hops_ns`` from each payload's
    stamp to its arrival, where they went in turns.
    """

    count: int
    took_ns: int
    hops_ns: tuple[int, ...] = ()

    def pack(self) -> bytes:
        return _ARRIVAL.pack(self.count, self.took_ns) + array("q", self.hops_ns).tobytes()

    @classmethod
    def unpack(cls, data: bytes) -> Arrival:
        count, took_ns = _ARRIVAL.unpack_from(data)
        return cls(count, took_ns, tuple(array("q", data[_ARRIVAL.size :])))

    @classmethod
    def of_json(cls, fields: Any) -> Arrival:
        """As ``asdict`` made it, on its way through JSON."""
        return cls(fields["count"], fields["took_ns"], tuple(fields["hops_ns"]))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a payload says of itself: ``remaining`` more of its order follow."""

    started_ns: int
    remaining: int
    turns: bool = False

    def write(self, payload: NDArray[np.uint8]) -> None:
        _STAMP.pack_into(payload.data, 0, self.started_ns, self.remaining, self.turns)

    @classmethod
    def of(cls, payload: NDArray[Any]) -> Stamp:
        return cls(*_STAMP.unpack_from(payload.data))


class Pattern:
    """Writes payloads of one size: the same bytes each time, with a stamp of their own."""

    def __init__(self, nbytes: int) -> None:
        self._bytes = (np.arange(nbytes) % 251).astype(np.uint8)

    def write(self, into: NDArray[np.uint8], stamp: Stamp) -> None:
        np.copyto(into, self._bytes)
        stamp.write(into)


class Tally:
    """Counts what arrives until an order is complete."""

    def __init__(self) -> None:
        self._started_ns = 0
        self._count = 0
        self._hops_ns: list[int] = []

    def note(self, payload: NDArray[Any]) -> tuple[Stamp, Arrival | None]:
        """A payload is here: its stamp, and the whole arrival when it was the last one."""
        now_ns = perf_counter_ns()
        stamp = Stamp.of(payload)
        if not self._count:
            self._started_ns = stamp.started_ns
        self._count += 1
        if stamp.turns:
            self._hops_ns.append(now_ns - stamp.started_ns)
        if stamp.remaining:
            return stamp, None
        arrival = Arrival(self._count, now_ns - self._started_ns, tuple(self._hops_ns))
        self._count = 0
        self._hops_ns.clear()
        return stamp, arrival
