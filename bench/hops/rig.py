"""What the contenders for a hop have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from bench.hops.payload import Arrival, Order

Place: TypeAlias = Literal["native", "process"]
"""Where an end of the hop is: in the benchmark's own process, or in one of its own."""

HOPS: tuple[tuple[Place, Place], ...] = (
    ("native", "native"),
    ("native", "process"),
    ("process", "process"),
    ("process", "native"),
)
SIZES = {"4 KB": 4096, "64 KB": 64 << 10, "1 MB": 1 << 20, "3.84 MB": 3_840_000}


class Rig(Protocol):
    """A source and a target, ready to go; ``pids`` are the processes that they are in."""

    pids: tuple[int, int]

    async def run(self, order: Order) -> Arrival:
        """Carry the order out; nothing else is on its way meanwhile."""


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """How to order payloads from a source, and the process that it is in."""

    pid: int
    send: Callable[[Order], None]


@dataclass(frozen=True, slots=True)
class TargetEnd:
    """How to wait for what a target says, and the process that it is in."""

    pid: int
    arrival: Callable[[], Arrival]


class SplitRig:
    """A rig with an end elsewhere: tells the source, then waits for what the target says."""

    def __init__(self, source: SourceEnd, target: TargetEnd) -> None:
        self.pids = (source.pid, target.pid)
        self._send = source.send
        self._arrival = target.arrival

    async def run(self, order: Order) -> Arrival:
        self._send(order)
        return self._arrival()


def window(nbytes: int) -> int:
    """How many payloads the floor's and the peer's buffers hold.

    As many as a lane of Penstock has credit for by default, but no more than 64 MiB.
    """
    return max(min(100, (64 << 20) // nbytes), 2)
