"""What the contenders for a hop have in common."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from bench.hops.payload import Arrival, Order

Place: TypeAlias = Literal["native", "process"]
"""Where an end of the hop is: in the benchmark's own process, or in one of its own."""

Hop: TypeAlias = tuple[Place, Place]
BETWEEN: Hop = ("process", "process")
WITHIN: Hop = ("native", "native")
HOPS: tuple[Hop, ...] = (WITHIN, ("native", "process"), BETWEEN, ("process", "native"))
SIZES = {
    "4 KB": 4096,
    "64 KB": 64 << 10,
    "1 MB": 1 << 20,
    "3.84 MB": 3_840_000,
    "6.2 MB": 6_220_800,
}


class Rig(Protocol):
    """A source and a target, ready to go; ``pids`` are the processes that they are in."""

    pids: tuple[int, int]

    async def run(self, order: Order) -> Arrival:
        """Carry the order out; nothing else is on its way meanwhile."""


def window(nbytes: int) -> int:
    """How many payloads the floor's and the peers' buffers hold.

    As many as a lane of Penstock has credit for by default, but no more than 64 MiB.
    """
    return max(min(100, (64 << 20) // nbytes), 2)
