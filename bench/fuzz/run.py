"""A fuzz of a running service, in rounds: many calls at once, then a look at what it holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from bench.fuzz.calls import WARM_UP, Call, calls
from bench.fuzz.client import Client
from bench.storm.rest import Rest, Watch
from bench.storm.service import Service

AT_ONCE = 16
ROUND = 1000
"""Calls between two looks at the service."""
_TOO_LATE = "ExecuteBatchError raised in core"
"""What gRPC logs of a call that was given up at the very moment when it answered it."""
_SHOWN = 3000


@dataclass(slots=True)
class Tally:
    """What was called, what was found, and the service at rest after each round."""

    called: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    found: list[str] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)


class _Found(Exception):
    """Something that must not be; Hypothesis looks for the smallest calls that show it."""


def fuzz(service: Service, wished: int, first_seed: int) -> Tally:
    """Make at least so many calls, unless something is found before."""
    tally, number = Tally(), 0
    with asyncio.Runner() as runner:
        client = runner.run(_connected(service.address))
        runner.run(_all(client, list(WARM_UP)))
        watch = Watch(service)
        while sum(tally.called.values()) < wished and not tally.found:
            left = min(wished - sum(tally.called.values()), ROUND)
            _round(runner, client, tally, first_seed + number, -(-left // AT_ONCE))
            number += 1
            _look(service, watch, tally)
        runner.run(client.aclose())
    return tally


async def _connected(address: str) -> Client:
    client = Client(address)
    await client.open()
    return client


def _round(runner: asyncio.Runner, client: Client, tally: Tally, number: int, batches: int) -> None:
    @seed(number)
    @settings(
        max_examples=batches,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(st.lists(calls(), min_size=AT_ONCE, max_size=AT_ONCE))
    def batch(drawn: list[Call]) -> None:
        tally.called.update(call.path for call in drawn)
        tally.requests += sum(len(call.requests) for call in drawn)
        faults = runner.run(_all(client, drawn))
        if faults:
            said.append("\n".join(faults))
            raise _Found(said[-1])

    said: list[str] = []
    try:
        batch()
    except (_Found, Flaky):
        tally.found.append(f"seed {number}, at first:\n{said[0]}\nat last:\n{said[-1]}")


async def _all(client: Client, drawn: list[Call]) -> list[str]:
    over = await client.feed()
    told = await asyncio.gather(*(client.faults(call) for call in drawn))
    found = [
        f"{fault}\n  {call!r}" for call, faults in zip(drawn, told, strict=True) for fault in faults
    ]
    return over + found


def _look(service: Service, watch: Watch, tally: Tally) -> None:
    if service.process.poll() is not None:
        tally.found.append(f"the service has ended: {service.log.read_text()[-2000:]}")
        return
    rest = watch.rest(sum(tally.called.values()))
    tally.rests.append(rest)
    tally.found += [f"left after {rest.sessions} calls: {one}" for one in rest.left]
    told = [one for one in _tracebacks(service) if _TOO_LATE not in one]
    tally.found += [f"a traceback in its log: {one}" for one in told[:1]]
    held = f"{rest.usage.descriptors} descriptors, {rest.usage.memory_bytes >> 20} MiB"
    print(f"{rest.sessions} calls, {len(tally.found)} found; at rest {held}", flush=True)


def _tracebacks(service: Service) -> list[str]:
    """Each with the line before it, which says whose it is."""
    before, *parts = service.log.read_text(errors="replace").split(
        "Traceback (most recent call last)"
    )
    found = []
    for part in parts:
        found.append(before.rstrip().rpartition("\n")[2] + part[:_SHOWN])
        before = part
    return found
