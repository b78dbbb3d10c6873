"""What is sent of a call is not far ahead of what its client has read."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rpc_peer import MIB, Peer, Served, begin, serving, widen, window

from bench.rpc.http2 import ACK, HELLO
from penstock.service.rpc import Call
from penstock.service.rpc import lead as leads
from penstock.service.rpc.lead import LEAD_BYTES, Lead
from penstock.service.rpc.outbox import Outbox, Outflow

SIZE = 1000
FRAMED = SIZE + 5
MANY = 200
PING = 6
ROOMY = HELLO + ACK + window(4 * MIB) + widen(0, 64 * MIB)


async def write(call: Call) -> None:
    """Two hundred messages, as fast as may be."""
    for _ in range(MANY):
        await call.write(bytes(SIZE))


def told(peer: Peer, stream: int = 1) -> int:
    return len(peer.streams[stream].messages())


async def asked(peer: Peer) -> None:
    """The client is asked how far it has read; it was sent all that is ahead before that."""
    before = peer.kinds.count(PING)
    await peer.until(lambda: peer.kinds.count(PING) > before)


def wide(served: Served, first: int = 4 * MIB):
    return served.client(HELLO + ACK + window(first) + widen(0, 64 * MIB))


async def test_who_has_not_read_is_not_sent_more_but_asked() -> None:
    async with serving({"Write": write}) as served, wide(served) as peer:
        peer.send(begin(1, "Write"))
        await asked(peer)
        ahead = told(peer)
        assert LEAD_BYTES < ahead * FRAMED <= LEAD_BYTES + FRAMED
        peer.send(widen(1, 10 * FRAMED))
        await peer.until(lambda: told(peer) == ahead + 10)
        await asked(peer)
        assert told(peer) == ahead + 10


async def test_who_tells_what_it_has_read_gets_all() -> None:
    async with serving({"Write": write}) as served, wide(served) as peer:
        peer.send(begin(1, "Write"))
        read = 0
        while not peer.streams[1].ended:
            await peer.take()
            if (new := told(peer) - read) > 0:
                peer.send(widen(1, new * FRAMED))
                read += new
        assert told(peer) == MANY


async def test_who_never_tells_gets_all_the_same() -> None:
    async with serving({"Write": write}) as served, wide(served) as peer:
        peer.send(begin(1, "Write"))
        answer = await peer.ended(1)
        assert len(answer.messages()) == MANY
        assert 5 < peer.kinds.count(PING) < 15


async def asked_for_long(served: Served, peer: Peer) -> Call:
    """A call whose client is asked seldom by now, and has just been."""
    peer.send(begin(1, "Write"))
    await asked(peer)
    (connection,) = served.server._open
    call = connection.calls[1]
    call.lead.wait(1000.0)
    await asked(peer)
    return call


@pytest.mark.parametrize(
    "more", [widen(1, LEAD_BYTES // 2), begin(3, "Write")], ids=["who reads on", "another call"]
)
async def test_who_was_asked_in_vain_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, more: bytes
) -> None:
    monkeypatch.setattr(leads, "_VAIN_S", math.inf)
    async with serving({"Write": write}) as served, wide(served) as peer:
        await asked_for_long(served, peer)
        peer.send(more)
        await asked(peer)


async def test_who_wants_very_much_is_asked_nothing() -> None:
    async with serving({"Write": write}) as served, wide(served, 17 * MIB) as peer:
        peer.send(begin(1, "Write"))
        assert len((await peer.ended(1)).messages()) == MANY
        assert PING not in peer.kinds


async def test_who_is_about_to_read_faster_is_asked_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leads, "_VAIN_S", math.inf)
    async with serving({"Write": write}) as served, wide(served) as peer:
        call = await asked_for_long(served, peer)
        call.ask_anew()
        await asked(peer)


async def test_who_reads_on_is_asked_as_soon_as_that_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long who doesn't would have: this one tells what it has read when it is asked."""
    monkeypatch.setattr(leads, "ASK_S", 1000.0)
    async with serving({"Write": write}) as served, wide(served) as peer:
        peer.send(begin(1, "Write"))
        read = 0
        while MANY - told(peer) > LEAD_BYTES // FRAMED:
            await asked(peer)
            new, read = told(peer) - read, told(peer)
            peer.send(widen(1, new * FRAMED))
        await peer.until(lambda: told(peer) == MANY)


async def test_one_call_that_is_ahead_keeps_no_other_waiting() -> None:
    async with serving({"Write": write}) as served, wide(served) as peer:
        peer.send(begin(1, "Write"))
        await asked(peer)
        peer.send(begin(3, "Write"))
        await peer.until(lambda: told(peer, 3) * FRAMED > LEAD_BYTES)


async def test_long_messages_may_be_some_ahead() -> None:
    async def speak(call: Call) -> None:
        for _ in range(20):
            await call.write(bytes(100_000))

    async with serving({"Speak": speak}) as served, wide(served) as peer:
        peer.send(begin(1, "Speak"))
        await asked(peer)
        assert 8 <= told(peer) <= 9


async def test_who_leaves_is_asked_no_more() -> None:
    async with serving({"Write": write}) as served:
        async with wide(served) as peer:
            peer.send(begin(1, "Write"))
            await asked(peer)
        assert await served.serves()


@pytest.mark.parametrize("by", [-1 * MIB, 1 * MIB])
def test_another_first_window_says_nothing_of_what_was_read(by: int) -> None:
    lead = Lead(4 * MIB)
    lead.spend(LEAD_BYTES)
    lead.shift(by)
    assert not lead.is_far
    lead.spend(1)
    assert lead.is_far


def test_more_room_than_ever_is_not_taken_for_what_was_read() -> None:
    lead = Lead(MIB)
    lead.spend(LEAD_BYTES + 1)
    lead.widen(4 * MIB)
    assert not lead.is_far
    lead.spend(LEAD_BYTES + 1)
    assert lead.is_far


def test_patience_is_for_those_who_tell_something() -> None:
    lead = Lead(MIB)
    lead.spend(2 * LEAD_BYTES)
    for _ in range(50):
        lead.widen(1)
        lead.wait(0.04)
        assert lead.is_far
    silent_s = pause_s = 0.0
    while lead.is_far:
        silent_s += pause_s
        pause_s = lead.pause_s
        lead.wait(pause_s)
    assert silent_s + pause_s == pytest.approx(0.1)
    lead.widen(2 * LEAD_BYTES)
    lead.allow(1)
    lead.spend(LEAD_BYTES + 1)
    assert lead.is_far


def pauses(lead: Lead, told: int, count: int) -> list[int]:
    """How long a client has each time, in ms, which tells so much every time."""
    found = []
    for _ in range(count):
        found.append(int(lead.pause_s * 1e3))
        lead.widen(told)
        lead.spend(told)
        lead.wait(lead.pause_s)
    return found


def test_who_reads_slowly_is_asked_ever_less_often() -> None:
    lead = Lead(4 * MIB)
    lead.spend(LEAD_BYTES + 1)
    assert pauses(lead, LEAD_BYTES // 4, 3) == [5, 5, 5]
    assert pauses(lead, 10, 7) == [5, 10, 20, 40, 80, 100, 100]
    assert pauses(lead, LEAD_BYTES // 4, 3) == [100, 5, 5]
    assert lead.is_far


async def test_what_was_interrupted_is_not_under_way_for_long() -> None:
    """A client reads slowly, as one does that plays; when it wants no more, little is left."""
    stop = asyncio.Event()

    async def speak(call: Call) -> None:
        while not stop.is_set():
            await call.write(bytes(SIZE))

    async with serving({"Speak": speak}) as served, wide(served) as peer:
        peer.send(begin(1, "Speak"))
        for _ in range(30):
            await peer.take()
            peer.send(widen(1, FRAMED))
        seen = told(peer)
        stop.set()
        await peer.ended(1)
        assert (told(peer) - seen) * FRAMED <= LEAD_BYTES + 2 * FRAMED


class Loop:
    """A loop's clock, and its one timer; nothing happens until it is moved on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: float | None = None
        self._callback: Callable[[], object] = int

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> None:
        """The end of a turn, which never comes."""

    def call_later(self, wait_s: float, callback: Callable[[], object]) -> Loop:
        self.due, self._callback = self.now + wait_s, callback
        return self

    def when(self) -> float | None:
        return self.due

    def cancel(self) -> None:
        self.due = None

    def move_on(self) -> None:
        assert self.due is not None
        self.now, self.due = self.due, None
        self._callback()


def test_who_has_just_come_to_be_far_is_not_taken_for_one_who_tells_nothing() -> None:
    """Beside one who was asked for long, and is asked seldom by now."""
    loop = Loop()
    outbox = Outbox(cast("asyncio.AbstractEventLoop", loop))
    outbox.widen(16 * MIB, None)

    def far(stream: int) -> Outflow:
        call = Outflow(stream, 4 * MIB)
        while outbox.send(call, bytes(10_000)):
            continue
        return call

    first = far(1)
    for _ in range(6):
        outbox.widen(1, first)  # it tells something, if little
        loop.move_on()
    assert loop.due is not None
    assert loop.due - loop.now > 10 * leads.ASK_S
    loop.now = loop.due - leads.ASK_S / 2
    second = far(3)
    outbox.widen(1, first)
    loop.move_on()
    assert second.lead.is_far
    assert loop.due is not None
    assert loop.due - loop.now < 2 * leads.ASK_S


class Telling(Outflow):
    """A call to which it is no news that all has been sent."""

    def sent(self) -> None:
        """Nobody waits for that."""


def test_what_is_short_is_no_further_ahead_behind_what_was_long() -> None:
    """As soon as the long one is none of those that may be under way."""
    outbox = Outbox(cast("asyncio.AbstractEventLoop", Loop()))
    outbox.widen(64 * MIB, None)
    call = Telling(1, 4 * MIB)
    assert outbox.send(call, bytes(MIB - 5))
    outbox.widen(MIB, call)
    ahead = 0
    while outbox.send_nowait(call, bytes(SIZE)):
        ahead += FRAMED
    assert LEAD_BYTES < ahead <= LEAD_BYTES + FRAMED


def test_short_ones_between_long_ones_do_not_wait_for_all_to_be_read() -> None:
    """As captions among pictures, of a client that tells late what it has read."""
    outbox = Outbox(cast("asyncio.AbstractEventLoop", Loop()))
    outbox.widen(64 * MIB, None)
    call = Telling(1, 4 * MIB)
    sent = 0
    while outbox.send(call, bytes(50_000 if sent % 2 else 10)):
        sent += 1
    assert sent == 9
