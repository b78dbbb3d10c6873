"""What a session of a service feels of another one that burns CPU and GIL in native nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.measurement import OURS, Case, Effort, Figure, Measure, apart
from bench.neighbours.bare import bare_burner
from bench.neighbours.sessions import Quiet, burning, quiet
from bench.rpc.servers import PENSTOCK, server
from bench.runner import percentile
from penstock.client import Client

_ALONE = "without the neighbour"
_BARE = "beside a bare process that burns"
_NODES = ("--nodes", "bench.neighbours.nodes")
_TARGETS = {"native → native": "TookNative", "native → process": "TookProcess"}


async def alone_us(session: Quiet, count: int, percent: int) -> Sequence[float]:
    """That percentile of so many hops."""
    return [percentile(await session.hops_us(count), percent)]


async def beside_us(session: Quiet, count: int, percent: int, *, client: Client) -> Sequence[float]:
    """The same while the other session burns."""
    async with burning(client):
        return await alone_us(session, count, percent)


async def beside_a_process_us(session: Quiet, count: int, percent: int) -> Sequence[float]:
    """The same beside a process that is none of Penstock's: what the machine makes of it."""
    with bare_burner():
        return await alone_us(session, count, percent)


@asynccontextmanager
async def _open(target: str, count: int, percent: int) -> AsyncIterator[Mapping[str, Measure]]:
    with server(*PENSTOCK, *_NODES) as address:
        async with Client(address) as client, quiet(client, target) as session:
            yield {
                _ALONE: partial(alone_us, session, count, percent),
                _BARE: partial(beside_a_process_us, session, count, percent),
                OURS: partial(beside_us, session, count, percent, client=client),
            }


def _cases(effort: Effort) -> list[Case]:
    return [
        Case(f"{hop}, p{percent}", partial(_open, target, effort.count(1000), percent))
        for hop, target in _TARGETS.items()
        for percent in (50, 99)
    ]


NEIGHBOURS = Figure(
    "neighbours",
    "A hop of a quiet session of a service beside one that burns CPU and GIL",
    "µs",
    apart(_cases),
)
