"""What a session for a single call costs, beside a call that does nothing.

Each call takes a process that waits for it, and another has to be forked then. Calls that come
apart are what one call takes; those without a pause are as fast as processes can be forked.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter_ns

import grpc

from bench.measurement import FLOOR, OURS, Case, Effort, Figure, Measure, Target, apart
from bench.rpc.echo import Echo
from bench.rpc.execution import ClientExecution, Execution, message
from bench.rpc.servers import ECHO, PENSTOCK, server
from penstock.client import Client

_PAUSE_S = 0.1
_TO_FLOOR = 4
_FORKS_US = 10_000
_NO_SPARE = "[service]\nspare_hosts = 0\n"


@dataclass(frozen=True, slots=True)
class Calls:
    """How many calls of what size, so far apart, to a service that has hosts waiting or not."""

    nbytes: int
    count: int
    pause_s: float = _PAUSE_S
    spare: bool = True


async def round_trips(call: Callable[[], Awaitable[None]], calls: Calls) -> Sequence[float]:
    """The time of each call in µs, one after the other, each after a pause."""
    samples = []
    for _ in range(calls.count):
        await asyncio.sleep(calls.pause_s)
        started = perf_counter_ns()
        await call()
        samples.append((perf_counter_ns() - started) / 1000)
    return samples


@contextmanager
def _service(*, spare: bool) -> Iterator[str]:
    """The address of one as it comes, or without hosts that wait."""
    if spare:
        with server(*PENSTOCK) as address:
            yield address
        return
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "penstock.toml")
        config.write_text(_NO_SPARE, encoding="utf-8")
        with server(*PENSTOCK, "--config", str(config)) as address:
            yield address


@asynccontextmanager
async def _open(calls: Calls) -> AsyncIterator[Mapping[str, Measure]]:
    with _service(spare=calls.spare) as ours, server(*ECHO) as bare:
        async with (
            grpc.aio.insecure_channel(ours) as channel,
            grpc.aio.insecure_channel(bare) as bare_channel,
            Client(ours) as client,
        ):
            contenders = {
                FLOOR: Echo(bare_channel, message(calls.nbytes)).call,
                OURS: Execution(channel, calls.nbytes).call,
                "penstock.client": ClientExecution(client, calls.nbytes).call,
            }
            yield {name: partial(round_trips, call, calls) for name, call in contenders.items()}


def _cases(effort: Effort) -> list[Case]:
    few, many = effort.count(30), effort.count(300)
    to_floor = Target(_TO_FLOOR, FLOOR)
    forked = Target(_FORKS_US, FLOOR, times=_TO_FLOOR)
    return [
        Case("4 KB, a host waits", partial(_open, Calls(4096, few)), (to_floor,)),
        Case("4 KB, none waits", partial(_open, Calls(4096, few, spare=False)), (forked,)),
        Case("4 KB, without a pause", partial(_open, Calls(4096, many, pause_s=0))),
        Case("1 MB, a host waits", partial(_open, Calls(1 << 20, few))),
    ]


GRPC_EXECUTE = Figure(
    "grpc_execute", "ExecutePipeline of a native pass-through: p50 / p99", "µs", apart(_cases)
)
