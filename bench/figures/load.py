"""How many real-time streams a service carries, beside a server that only echoes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from bench.load.search import BOUND_MS, late_ms, most_streams
from bench.load.service import roomy
from bench.measurement import OURS, Case, Effort, Figure, Measure, Target, apart
from bench.rpc.servers import ECHO, server

_MOST = 640
_IN_PROCESSES = 20


async def _most(address: str, kind: str, chunks: int, most: int) -> Sequence[float]:
    return [await most_streams(address, kind, chunks, most)]


async def _late(address: str, kind: str, streams: int, chunks: int) -> Sequence[float]:
    return [await late_ms(address, kind, streams, chunks)]


@asynccontextmanager
async def _native(chunks: int, most: int) -> AsyncIterator[Mapping[str, Measure]]:
    with roomy() as words, server(*words) as ours, server(*ECHO) as bare:
        yield {
            "floor": partial(_most, bare, "echo", chunks, most),
            OURS: partial(_most, ours, "native", chunks, most),
        }


@asynccontextmanager
async def _processes(streams: int, chunks: int) -> AsyncIterator[Mapping[str, Measure]]:
    with roomy() as words, server(*words) as ours, server(*ECHO) as bare:
        yield {
            "floor": partial(_late, bare, "echo", streams, chunks),
            OURS: partial(_late, ours, "processes", streams, chunks),
        }


def _loads(effort: Effort) -> list[Case]:
    most = 3 if effort.quick else _MOST
    return [
        Case(
            "native sessions",
            partial(_native, effort.count(150), most),
            (Target(0.6, of="floor", at_least=True),),
        )
    ]


def _lateness(effort: Effort) -> list[Case]:
    streams = 2 if effort.quick else _IN_PROCESSES
    name = f"{streams} sessions of three processes"
    target = (Target(BOUND_MS),)
    return [Case(name, partial(_processes, streams, effort.count(300)), target)]


LOAD = Figure(
    "load",
    "Real-time streams carried at once, none late by more than a chunk at p99",
    "streams",
    apart(_loads),
)
LATENESS = Figure(
    "lateness", "How late results of real-time streams are, p99", "ms", apart(_lateness)
)
"""A chunk of 20 ms, 16 kHz mono, each 20 ms on every stream; results count from when it was due."""
