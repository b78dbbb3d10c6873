"""What a pipeline adds to work that keeps every core busy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns
from typing import Protocol

from bench.burning.pipeline import pipeline
from bench.burning.side_by_side import side_by_side
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart

_NODES = 3
_SIDE_BY_SIDE = "side by side"


class Worker(Protocol):
    """Does the work of some items, once in each of its processes."""

    async def run(self, items: int) -> None: ...


async def time_ms(worker: Worker, items: int) -> Sequence[float]:
    """How long the work took, from the first item's start to the last one's end."""
    started = perf_counter_ns()
    await worker.run(items)
    return [(perf_counter_ns() - started) / 1e6]


@asynccontextmanager
async def _open(items: int) -> AsyncIterator[Mapping[str, Measure]]:
    async with pipeline(_NODES) as ours:
        with side_by_side(_NODES) as bare, side_by_side(1) as alone:
            yield {
                _SIDE_BY_SIDE: partial(time_ms, bare, items),
                OURS: partial(time_ms, ours, items),
                "one after the other": partial(time_ms, alone, items * _NODES),
            }


def _cases(effort: Effort) -> list[Case]:
    items = effort.count(200)
    name = f"{items} items through {_NODES} nodes"
    return [Case(name, partial(_open, items), (Target(1.05, _SIDE_BY_SIDE),))]


CPU_BOUND = Figure("cpu_bound", "Three equal Python nodes that compute", "ms", apart(_cases))
