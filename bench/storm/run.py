"""Runs batches of sessions against one service, several at a time, and keeps what came of them."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from bench.storm.clients import killed
from bench.storm.errands import Errand, errand
from bench.storm.rest import Rest, Watch
from bench.storm.service import Service
from bench.storm.strikes import Victim
from bench.storm.talks import Course, carried_out, cut_off
from bench.storm.verdict import faults, latency_s
from penstock.client import Client

WARM_UP = 100
"""Sessions before the first look: what is imported and cached at first use is no growth."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of a storm: sessions, or minutes where there are any; ``kills`` is a share."""

    sessions: int
    minutes: float | None
    at_a_time: int
    clients: int
    kills: float
    seed: int


@dataclass(slots=True)
class Tally:
    """What came of a storm."""

    sessions: int = 0
    well: int = 0
    struck: Counter[Victim] = field(default_factory=Counter)
    told: dict[Victim, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    duration_s: float = 0.0

    def note(self, todo: Errand, course: Course) -> None:
        self.sessions += 1
        self.well += course.error is None and not course.hung
        self.faults += [
            f"session {todo.number} ({todo.way}, {todo.pipeline.name}, {_shown(todo)}): {fault}"
            for fault in faults(todo, course)
        ]
        if todo.strike is not None and todo.strike.struck_at is not None:
            self.struck[todo.strike.victim] += 1
            latency = latency_s(todo, course)
            if latency is not None:
                self.told.setdefault(todo.strike.victim, []).append(latency)


async def storm(service: Service, scale: Scale) -> Tally:
    """Run all of it; between batches the service comes to rest, and is looked at."""
    tally = Tally()
    async with _clients(service.address, scale.clients) as clients:
        await _batch(service, scale, clients, range(-min(WARM_UP, scale.sessions), 0), Tally())
        watch = await asyncio.to_thread(Watch, service)
        started = monotonic()
        for batch in _batches(scale, started):
            await _batch(service, scale, clients, batch, tally)
            tally.rests.append(await asyncio.to_thread(watch.rest, tally.sessions))
        tally.duration_s = monotonic() - started
    for rest in tally.rests:
        tally.faults += [f"left after {rest.sessions} sessions: {one}" for one in rest.left]
    return tally


async def _batch(
    service: Service, scale: Scale, clients: list[Client], numbers: range, tally: Tally
) -> None:
    """The sessions of these numbers, ``at_a_time`` of them at once."""
    waiting = iter(numbers)

    async def work() -> None:
        for number in waiting:
            todo = errand(scale.seed, number, scale.kills)
            client = clients[number % len(clients)]
            tally.note(todo, await _carried_out(todo, client, service.address, scale.seed))

    async with asyncio.TaskGroup() as group:
        for _ in range(scale.at_a_time):
            group.create_task(work())


async def _carried_out(todo: Errand, client: Client, address: str, seed: int) -> Course:
    match todo.strike.victim if todo.strike is not None else None:
        case Victim.CLIENT:
            return await killed(todo, address, seed)
        case Victim.CHANNEL:
            return await cut_off(todo, address)
        case _:
            return await carried_out(todo, client)


def _batches(scale: Scale, started: float) -> Iterator[range]:
    """Ten batches, or as many of the same size as the time allows."""
    size = max(-(-scale.sessions // 10), 1)
    for first in itertools.count(0, size):
        if scale.minutes is None and first >= scale.sessions:
            return
        if scale.minutes is not None and monotonic() - started >= scale.minutes * 60:
            return
        yield range(first, first + size)


@asynccontextmanager
async def _clients(address: str, count: int) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Client(address)) for _ in range(count)]


def _shown(todo: Errand) -> str:
    strike = todo.strike
    if strike is None:
        return "not to be struck"
    return f"{strike.victim} struck {strike.delay_s * 1e3:.0f} ms after {strike.moment}"
