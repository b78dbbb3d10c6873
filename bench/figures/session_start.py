"""How long a session takes until it is ready."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from time import perf_counter_ns
from typing import Any

from bench.measurement import OURS, Case, Effort, Figure, Measure, apart
from bench.rpc.servers import PENSTOCK, server
from penstock.client import Client
from penstock.session import Session

_INTERPRETER = [sys.executable, "-c", "import numpy; print(flush=True); input()"]


def manifest(processes: int) -> dict[str, Any]:
    """A native node, and ``processes`` others that get what it gives."""
    echoes = [f"echo-{number}" for number in range(processes)]
    return {
        "version": "v1",
        "metadata": {"name": "start"},
        "nodes": [
            {"id": "first", "node_type": "PassThrough"},
            *({"id": echo, "node_type": "EchoNode"} for echo in echoes),
        ],
        "connections": [{"from": "first", "to": echo} for echo in echoes],
    }


async def starts(
    make: Callable[[], AbstractAsyncContextManager[object]], count: int
) -> Sequence[float]:
    """The time from a manifest to a session that is ready, in ms; its end doesn't count."""
    samples = []
    for _ in range(count):
        started = perf_counter_ns()
        async with make():
            samples.append((perf_counter_ns() - started) / 1e6)
    return samples


async def interpreters(processes: int, count: int) -> Sequence[float]:
    """The time until so many bare interpreters, started at once, have imported numpy, in ms."""
    return [_start_interpreters(processes) for _ in range(count)]


def _start_interpreters(processes: int) -> float:
    with ExitStack() as stack:
        started = perf_counter_ns()
        children = [
            subprocess.Popen(_INTERPRETER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        for child in children:
            stack.enter_context(child)
            assert child.stdout is not None
            child.stdout.readline()
        took_ms = (perf_counter_ns() - started) / 1e6
        for child in children:
            child.communicate("\n")
    return took_ms


@asynccontextmanager
async def _open(processes: int, count: int) -> AsyncIterator[Mapping[str, Measure]]:
    described = manifest(processes)
    with server(*PENSTOCK) as address:
        async with Client(address) as client:
            ours = {
                OURS: partial(starts, partial(client.stream, described), count),
                "library": partial(starts, partial(Session, described), count),
            }
            bare = {"interpreters": partial(interpreters, processes, max(count // 10, 1))}
            yield {**bare, **ours} if processes else ours


def _cases(effort: Effort) -> list[Case]:
    return [
        Case("native only", partial(_open, 0, effort.count(20))),
        Case("1 process node", partial(_open, 1, effort.count(20))),
        Case("4 process nodes", partial(_open, 4, effort.count(20))),
    ]


SESSION_START = Figure("session_start", "From StreamInit to ready: p50 / p99", "ms", apart(_cases))
