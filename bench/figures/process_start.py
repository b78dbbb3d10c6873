"""How long node processes take until they can be talked to, and what one costs when idle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns

from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.sessions.processes import SupervisorRig, bare_zygote, fork, start_each
from bench.sessions.usage import proportional_bytes

_ONE_MS, _TEN_MS = 10, 60
_FOREIGN = 2
_IDLE_MB = 8 * 1.048576
_NUMPY = "import numpy"
_BARE = "bare fork"


async def processes(count: int, repeats: int, python: str | None = None) -> Sequence[float]:
    """Until so many have said their first word, asked for at once; in ms."""
    return start_each(count, repeats, python)


async def bare_forks(count: int, repeats: int) -> Sequence[float]:
    """Until so many forks of a process with the same imports have said one byte; in ms."""
    with bare_zygote() as zygote:
        return [fork(zygote, count) for _ in range(repeats)]


async def numpy_imports(repeats: int) -> Sequence[float]:
    """A bare interpreter that imports numpy and ends; in ms."""
    return [_import_numpy() for _ in range(repeats)]


def _import_numpy() -> float:
    started = perf_counter_ns()
    subprocess.run([sys.executable, "-c", _NUMPY], check=True)
    return (perf_counter_ns() - started) / 1e6


async def idle_megabytes(count: int) -> Sequence[float]:
    """By how much so many more idle processes raise what all of them take, for each."""
    with SupervisorRig() as rig:
        rig.start(1)
        before = proportional_bytes([*rig.forebears, *rig.pids])
        rig.start(count)
        return [(proportional_bytes([*rig.forebears, *rig.pids]) - before) / count / 1e6]


@asynccontextmanager
async def _forked(count: int, repeats: int) -> AsyncIterator[Mapping[str, Measure]]:
    yield {
        OURS: partial(processes, count, repeats),
        _BARE: partial(bare_forks, count, repeats),
    }


@asynccontextmanager
async def _foreign(repeats: int) -> AsyncIterator[Mapping[str, Measure]]:
    yield {
        OURS: partial(processes, 1, repeats, sys.executable),
        _NUMPY: partial(numpy_imports, repeats),
    }


@asynccontextmanager
async def _idle(count: int) -> AsyncIterator[Mapping[str, Measure]]:
    yield {OURS: partial(idle_megabytes, count)}


def _starts(effort: Effort) -> list[Case]:
    return [
        Case("1 node", partial(_forked, 1, effort.count(50)), (Target(_ONE_MS),)),
        Case("10 nodes at once", partial(_forked, 10, effort.count(20)), (Target(_TEN_MS),)),
        Case(
            "1 node, another interpreter",
            partial(_foreign, effort.count(10)),
            (Target(_FOREIGN, _NUMPY),),
        ),
    ]


def _memory(_effort: Effort) -> list[Case]:
    return [Case("10 idle nodes", partial(_idle, 10), (Target(_IDLE_MB),))]


PROCESS_START = Figure(
    "process_start", "From asking for node processes to their first word", "ms", apart(_starts)
)
PROCESS_MEMORY = Figure(
    "process_memory", "What a node's process adds to memory (PSS)", "MB", apart(_memory)
)
