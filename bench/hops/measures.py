"""What is measured of a rig: how long each hop takes, and how many a second there can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from bench.hops.contenders import Racers
from bench.hops.payload import Order
from bench.hops.placement import pinned
from bench.hops.rig import Rig
from bench.measurement import Contenders, Unavailable

Measured = Callable[[Rig], Awaitable[Sequence[float]]]


async def hops_us(order: Order, rig: Rig) -> Sequence[float]:
    """The times of an order's hops, which are made in turns."""
    return [took / 1000 for took in (await rig.run(order)).hops_ns]


async def ordered_us(order: Order, count: int, rig: Rig) -> Sequence[float]:
    """The times of ``count`` hops, each ordered by itself."""
    return [(await rig.run(order)).took_ns / 1000 for _ in range(count)]


async def rate(order: Order, rig: Rig) -> Sequence[float]:
    """Messages a second, from before the first is written until the last has arrived."""
    arrival = await rig.run(order)
    return [arrival.count * 1e9 / arrival.took_ns]


@contextmanager
def measured(
    racers: Racers, measure: Measured, cores: tuple[int, int] | None = None
) -> Iterator[Contenders]:
    """The contenders, on two cores if these are given, else as the scheduler places them."""
    rigs = [rig for rig in racers.values() if not isinstance(rig, Unavailable)]
    with pinned(rigs, cores) if cores else nullcontext():
        yield {
            name: rig if isinstance(rig, Unavailable) else partial(measure, rig)
            for name, rig in racers.items()
        }
