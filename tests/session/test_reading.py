"""Outputs that are taken the moment they come, while their reader waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pipelines import chain, options

from penstock.bridges import DirectLane, LaneSpec
from penstock.bridges.lane import no_listener
from penstock.data import CLIENT, Kind, Message, Text
from penstock.session import NodeSpans, Output, Session
from penstock.session.counters import Counters
from penstock.session.crossing import AT_ONCE
from penstock.session.gateway import Gateway
from penstock.session.life import Life
from penstock.session.reading import Reading

EVERYWHERE = pytest.mark.parametrize("kind", ["PassThrough", "EchoNode"])
NODES = str(Path(__file__).parent / "interrupted_nodes.py")


def number_of(output: Output) -> int:
    assert isinstance(output.value, Text)
    return int(output.value.text)


class Taker:
    """Takes what it ``wants``, the moment it comes; has all that was taken or read, in order."""

    def __init__(self, wants: Callable[[Output], bool] = lambda _: True) -> None:
        self.taken: list[Output] = []
        self.all: list[Output] = []
        self._wants = wants
        self._more = asyncio.Event()

    def __call__(self, output: Output) -> bool:
        is_wanted = self._wants(output)
        if is_wanted:
            self.taken.append(output)
            self._has(output)
        return is_wanted

    async def read(self, session: Session) -> None:
        async for output in session.outputs(self):
            self._has(output)

    async def has(self, count: int) -> None:
        while len(self.all) < count:
            self._more.clear()
            await self._more.wait()

    def _has(self, output: Output) -> None:
        self.all.append(output)
        self._more.set()


async def one_by_one(session: Session, taker: Taker, count: int) -> None:
    reading = asyncio.create_task(taker.read(session))
    for number in range(count):
        await session.send("n0", Text(str(number)))
        await taker.has(number + 1)
    await session.end()
    await reading


@EVERYWHERE
async def test_all_is_taken_the_moment_it_comes_and_counted(
    kind: str, around: dict[str, Any]
) -> None:
    taker = Taker()
    async with Session(chain("PassThrough", kind), options(**around)) as session:
        await one_by_one(session, taker, 20)
        metrics = await session.metrics()
    assert [number_of(output) for output in taker.all] == list(range(20))
    assert taker.taken[-19:] == taker.all[1:]  # the first may have come before anybody waited
    assert metrics.outputs == 20
    assert all(output.latency_s for output in taker.all)


@EVERYWHERE
async def test_the_reader_gets_what_is_not_taken_in_its_place(
    kind: str, around: dict[str, Any]
) -> None:
    taker = Taker(lambda output: bool(number_of(output) % 3))
    async with Session(chain("PassThrough", kind), options(**around)) as session:
        reading = asyncio.create_task(taker.read(session))
        for number in range(1000):
            await session.send("n0", Text(str(number)))
        await session.end()
        await reading
    assert [number_of(output) for output in taker.all] == list(range(1000))


@EVERYWHERE
async def test_what_is_raised_over_an_output_is_raised_to_the_reader(
    kind: str, around: dict[str, Any]
) -> None:
    def wants(output: Output) -> bool:
        if number_of(output) == 5:
            raise ValueError("five")
        return True

    taker = Taker(wants)
    async with Session(chain("PassThrough", kind), options(**around)) as session:
        reading = asyncio.create_task(taker.read(session))
        for number in range(5):
            await session.send("n0", Text(str(number)))
            await taker.has(number + 1)
        await session.send("n0", Text("5"))
        with pytest.raises(ValueError, match="five"):
            await reading
    assert [number_of(output) for output in taker.all] == list(range(5))


@EVERYWHERE
async def test_a_failure_is_raised_behind_what_was_taken(kind: str, around: dict[str, Any]) -> None:
    taker = Taker()
    async with Session(chain("PassThrough", kind), options(**around)) as session:
        reading = asyncio.create_task(taker.read(session))
        await session.send("n0", Text("0"))
        await taker.has(1)
        session.fail_nowait(ValueError("mine"))  # type: ignore[arg-type]  # as good as any
        with pytest.raises(ValueError, match="mine"):
            await reading


async def test_nothing_stale_is_taken_behind_an_interrupt(around: dict[str, Any]) -> None:
    taker = Taker()
    manifest = chain("PassThrough", "RepeatsApart", channel_capacity=64)
    async with Session(manifest, options((NODES,), **around)) as session:
        reading = asyncio.create_task(taker.read(session))
        for turn in range(10):
            before = len(taker.all)
            await session.send("n0", Text(f"turn {turn}"))
            await taker.has(before + 10)
            await session.interrupt()
            before = len(taker.all)
            await session.send("n0", Text("after"))
            await taker.has(before + 1)
            assert str(cast("Text", taker.all[before].value).text).startswith("after")
            await session.interrupt()
        await session.end()
        await reading


@EVERYWHERE
async def test_what_is_not_taken_is_stale_by_an_interrupt_before_its_reader_is_there(
    kind: str, around: dict[str, Any]
) -> None:
    interrupts: asyncio.Queue[asyncio.Task[int]] = asyncio.Queue()

    def wants(output: Output) -> bool:
        if number_of(output) % 2:
            interrupts.put_nowait(asyncio.create_task(session.interrupt()))
        return not number_of(output) % 2

    taker = Taker(wants)
    async with Session(chain("PassThrough", kind), options(**around)) as session:
        reading = asyncio.create_task(taker.read(session))
        await session.send("n0", Text("0"))
        await taker.has(1)
        for number in range(2, 20, 2):
            await session.send("n0", Text(str(number - 1)))
            await (await interrupts.get())
            await session.send("n0", Text(str(number)))
            await taker.has(number // 2 + 1)
        await session.end()
        await reading
        metrics = await session.metrics()
    assert [number_of(output) for output in taker.all] == list(range(0, 20, 2))
    assert metrics.outputs == 10


async def test_the_time_that_is_spent_on_an_output_is_traced(around: dict[str, Any]) -> None:
    told: list[NodeSpans] = []
    taker = Taker()
    traced = options(on_spans=told.append, **around)
    async with Session(chain("PassThrough"), traced) as session:
        await one_by_one(session, taker, 20)
    spans = [span for one in told if one.node_id == CLIENT for span in one.spans]
    assert taker.taken[-19:] == taker.all[1:]
    assert sorted(span.sequence for span in spans if span.origin == "n0") == list(range(1, 21))


async def test_no_more_than_a_few_are_taken_before_others_have_their_turn() -> None:
    gateway, taker = Gateway(), Taker()
    lane = DirectLane(LaneSpec(1, "n0", CLIENT, frozenset({Kind.TEXT}), capacity=64))
    gateway.add_outlet("n0", lane.consumer)
    arrived, lane.consumer.on_change = lane.consumer.on_change, no_listener
    life = cast("Life", SimpleNamespace(gateway=gateway, failure=None))
    reading = Reading(life, Counters(cast("Any", None)), None, taker)
    idle = asyncio.create_task(reading.idle())
    await asyncio.sleep(0)
    for number in range(3 * AT_ONCE):
        assert lane.producer.offer(Message(Text(str(number)), number))
    arrived()
    assert len(taker.taken) == AT_ONCE
    await idle
    assert number_of(cast("Output", reading.take())) == AT_ONCE
    arrived()  # nobody waits
    assert len(taker.taken) == AT_ONCE


async def test_who_takes_nothing_reads_all(around: dict[str, Any]) -> None:
    async with Session(chain("PassThrough", "EchoNode"), options(**around)) as session:
        for number in range(5):
            await session.send("n0", Text(str(number)))
        await session.end()
        outputs = session.outputs(lambda _: False)
        assert [number_of(output) async for output in outputs] == list(range(5))
