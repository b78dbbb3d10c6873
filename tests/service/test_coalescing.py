"""A loop that rests where many streams keep it busy: it takes more at once, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import time
from collections.abc import Iterator
from itertools import count

import pytest
from wire_client import CLOSE, WireClient, chunk, init, pipeline, rest

from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import coalescing, running
from penstock.service.coalescing import BUSY, REST_S, STREAMS, CoalescingLoop, RestingSelector


class Clock:
    """Stands still while nobody works, waits or rests; put in the place of the module's."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits_s = 0.0
        self.rests: list[float] = []
        self._asked = count()

    def monotonic(self) -> float:
        """Asked before each wait and after it."""
        if next(self._asked) % 2:
            self.now += self.waits_s
        return self.now

    def sleep(self, rest_s: float) -> None:
        self.rests.append(rest_s)


def test_what_its_reactor_handles_is_work(bell_that_rings: RestingSelector) -> None:
    """And no waiting, though it is handled where the loop waits."""
    selector = bell_that_rings
    selector.active_streams = lambda: STREAMS
    deadline = time.monotonic() + 10
    while not selector.resting:
        assert time.monotonic() < deadline, "it never rests"
        selector.select(0.01)


@pytest.fixture
def bell_that_rings() -> Iterator[RestingSelector]:
    """A selector whose reactor has something to do for most of its time."""
    bell = os.eventfd(1)

    def work(_mask: int) -> None:
        time.sleep(0.005)

    with RestingSelector() as made:
        made.reactor.register(bell, work)  # which leaves it ringing
        yield made
        made.reactor.unregister(bell)
    os.close(bell)


@pytest.fixture
def selector(clock: Clock) -> Iterator[RestingSelector]:
    with RestingSelector() as made:
        clock.monotonic()  # from here on before a wait, and after it
        yield made


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its way out, and its way in."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(coalescing, "monotonic", clock.monotonic)
    monkeypatch.setattr(coalescing, "sleep", clock.sleep)
    return clock


def turns(selector: RestingSelector, clock: Clock, number: int, busy: float) -> None:
    """Turns of 10 ms, of which the loop works for that share."""
    clock.waits_s = 0.01 * (1 - busy)
    for _ in range(number):
        clock.now += 0.01 * busy
        selector.select(1e-6)


@pytest.mark.parametrize(
    ("streams", "busy", "rests"),
    [
        (STREAMS, BUSY + 0.1, True),
        (STREAMS - 1, BUSY + 0.1, False),
        (STREAMS, BUSY - 0.1, False),
    ],
)
def test_it_rests_where_many_streams_keep_it_busy(
    selector: RestingSelector, clock: Clock, streams: int, busy: float, rests: bool
) -> None:
    selector.active_streams = lambda: streams
    turns(selector, clock, 20, busy)
    assert selector.resting == rests
    assert bool(clock.rests) == rests


def test_it_goes_on_to_rest_though_that_leaves_it_more_time(
    selector: RestingSelector, clock: Clock
) -> None:
    selector.active_streams = lambda: STREAMS
    turns(selector, clock, 20, BUSY + 0.1)
    turns(selector, clock, 20, BUSY - 0.1)
    assert selector.resting
    turns(selector, clock, 20, 0.1)
    assert not selector.resting


def test_it_rests_by_what_it_has_worked_and_by_the_next_timer(
    selector: RestingSelector, clock: Clock, pipe: tuple[int, int]
) -> None:
    way_out, way_in = pipe
    selector.register(way_out, selectors.EVENT_READ)
    selector.resting, selector.active_streams = True, lambda: STREAMS
    for worked_s, timeout_s in ((REST_S / 10, 1.0), (1.0, 1.0), (1.0, 1e-4)):
        clock.now += worked_s
        os.write(way_in, b"x")
        selector.select(timeout_s)
    shortest, longest, until_the_timer = clock.rests
    assert shortest < longest
    assert longest == REST_S
    assert until_the_timer == 1e-4


def test_what_comes_while_it_rests_is_found_with_what_was_there(
    selector: RestingSelector, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = socket.socketpair()
    monkeypatch.setattr(coalescing, "sleep", lambda _: right.send(b"x"))
    selector.register(pipe[0], selectors.EVENT_READ)
    selector.register(left, selectors.EVENT_READ)
    os.write(pipe[1], b"x")
    selector.resting = True
    with left, right:
        assert len(selector.select()) == 2


def test_callbacks_that_wait_go_before_a_rest_and_before_every_other_look(
    selector: RestingSelector, clock: Clock, pipe: tuple[int, int]
) -> None:
    way_out, way_in = pipe
    selector.register(way_out, selectors.EVENT_READ)
    os.write(way_in, b"x")
    selector.resting = True
    assert [len(selector.select(0)) for _ in range(4)] == [0, 1, 0, 1]
    selector.resting = False
    assert [len(selector.select(0)) for _ in range(2)] == [1, 1]
    assert clock.rests == []


async def talk(wire: WireClient, chunks: int) -> list[str]:
    """What comes back on one stream."""
    call = wire.stream()
    await call.write(init(pipeline("PassThrough")))
    while (await call.read()).WhichOneof("response") != "ready":
        continue
    for number in range(chunks):
        await call.write(chunk(str(number)))
        await asyncio.sleep(0.002)
    await call.write(CLOSE)
    await call.done_writing()
    results = [message.result for message in await rest(call) if message.HasField("result")]
    return [each.data_outputs["n0"].text.text_data.decode() for each in results]


def test_a_service_that_rests_gives_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "STREAMS", 2)
    monkeypatch.setattr(coalescing, "BUSY", 0.0)
    monkeypatch.setattr(coalescing, "STILL_BUSY", 0.0)
    rests: list[float] = []

    def rest_s(seconds: float) -> None:
        rests.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(coalescing, "sleep", rest_s)

    async def talk_at_once() -> list[list[str]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CoalescingLoop)
        async with (
            running(Settings(), "127.0.0.1:0", Catalogue.installed()) as address,
            WireClient(address) as wire,
        ):
            said = await asyncio.gather(*(talk(wire, 150) for _ in range(4)))
        assert not loop.selector.active_streams()
        return said

    with asyncio.Runner(loop_factory=CoalescingLoop) as runner:
        assert runner.run(talk_at_once()) == [[str(number) for number in range(150)]] * 4
    assert max(rests) > 0
