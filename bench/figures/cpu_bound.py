"""What a pipeline adds to work that keeps every core busy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter_ns
from typing import Protocol

from bench.burning.pipeline import pipeline
from bench.burning.side_by_side import side_by_side
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target

_NODES = 3


class Worker(Protocol):
    """Does the work of some items, as often as there are nodes."""

    async def run(self, items: int) -> None: ...


async def time_ms(worker: Worker, items: int) -> Sequence[float]:
    """How long the work took, from the first item's start to the last one's end."""
    started = perf_counter_ns()
    await worker.run(items)
    return [(perf_counter_ns() - started) / 1e6]


@asynccontextmanager
async def _open(items: int) -> AsyncIterator[Mapping[str, Measure]]:
    async with pipeline(_NODES) as ours:
        with side_by_side(_NODES) as bare:
            yield {
                "side by side": partial(time_ms, bare, items),
                OURS: partial(time_ms, ours, items),
            }


def _cases(effort: Effort) -> list[Case]:
    items = effort.count(200)
    name = f"{items} items through {_NODES} nodes"
    return [Case(name, partial(_open, items), "side by side", Target(1.15))]


CPU_BOUND = Figure("cpu_bound", "Three equal Python nodes that compute", "ms", _cases)
