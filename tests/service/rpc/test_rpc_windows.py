"""Neither end sends what the other has no room for, and what has no room waits in order."""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rpc_peer import (
    MIB,
    Stuck,
    begin,
    data,
    framed,
    reset,
    serving,
    widen,
    window,
)

from bench.rpc.http2 import ACK, DATA, HELLO, SETTINGS, frame
from penstock.service.rpc import Call

DEFAULT, LARGEST, AHEAD = (1 << 16) - 1, (1 << 31) - 1, 4 * MIB
PROTOCOL_ERROR, FLOW_CONTROL_ERROR = 1, 3


def sent(count: int) -> list[bytes]:
    """Messages of which none is like another."""
    return [b"%d" % at + bytes((at,)) * (at * 300) for at in range(count)]


async def test_a_client_with_room_for_nothing_gets_nothing_until_it_has_some() -> None:
    """While another of its calls is served."""
    messages = sent(20)
    async with serving() as served, served.client(HELLO + ACK + window(0)) as peer:
        peer.send(begin(1, "Echo"), data(1, b"".join(map(framed, messages)), end=True))
        peer.send(begin(3, "Echo"), widen(3, 100), data(3, framed(b"abc"), end=True))
        assert (await peer.ended(3)).messages() == [b"abc"]
        assert peer.streams[1].data == b""
        assert not peer.streams[1].ended
        peer.send(widen(1, 1))
        await peer.until(lambda: peer.streams[1].data)
        assert len(peer.streams[1].data) == 1
        peer.send(widen(1, MIB), widen(0, MIB))
        answer = await peer.ended(1)
    assert answer.messages() == messages
    assert answer.status == 0


async def test_all_calls_together_have_room_for_so_much_and_each_gets_on() -> None:
    large = bytes(50_000)
    hello = HELLO + ACK + window(MIB)
    async with serving() as served, served.client(hello) as peer:
        peer.send(*(begin(stream, "Echo") for stream in (1, 3)))
        peer.send(*(data(stream, framed(large)) for stream in (1, 3)))
        await peer.until(lambda: all(peer.streams[stream].data for stream in (1, 3)))
        await peer.until(lambda: sum(len(peer.streams[at].data) for at in (1, 3)) == DEFAULT)
        await peer.answered()
        assert sum(len(peer.streams[at].data) for at in (1, 3)) == DEFAULT
        peer.send(widen(0, 2 * len(large)))
        await peer.until(lambda: all(peer.streams[at].messages() == [large] for at in (1, 3)))


async def test_who_has_room_for_all_waits_for_nobody_who_has_none() -> None:
    """A frame of each in turn: what is large keeps nobody waiting until it has been sent."""
    large = bytes(MIB - 5)
    hello = HELLO + ACK + window(2 * MIB)
    async with serving() as served, served.client(hello) as peer:
        peer.send(begin(1, "Join"))
        await peer.until(lambda: peer.granted[1])
        peer.send(
            data(1, framed(large), end=True), begin(3, "Echo"), data(3, framed(b"a"), end=True)
        )
        await peer.until(lambda: peer.streams[1].data)
        peer.send(widen(0, 100_000))
        await peer.ended(3)
        assert not peer.streams[1].ended
        peer.send(widen(0, MIB))
        assert (await peer.ended(1)).messages() == [large]


async def test_a_window_that_is_set_anew_holds_for_calls_in_progress() -> None:
    message = bytes(range(200))
    async with serving() as served, served.client(HELLO + ACK + window(50)) as peer:
        peer.send(begin(1, "Echo"), data(1, framed(message)))
        await peer.until(lambda: len(peer.streams[1].data) == 50)
        peer.send(window(80))
        await peer.until(lambda: len(peer.streams[1].data) == 80)
        peer.send(window(20), widen(1, 70))
        await peer.until(lambda: len(peer.streams[1].data) == 90)
        await peer.answered()
        assert len(peer.streams[1].data) == 90
        peer.send(window(1000), data(1, b"", end=True))
        assert (await peer.ended(1)).messages() == [message]


async def test_a_window_below_nothing_is_made_good_first() -> None:
    async with serving() as served, served.client(HELLO + ACK + window(100)) as peer:
        peer.send(begin(1, "Echo"), data(1, framed(bytes(95))))
        await peer.until(lambda: len(peer.streams[1].data) == 100)
        peer.send(window(0), data(1, framed(b"abc"), end=True), widen(1, 100))
        await peer.answered()
        assert len(peer.streams[1].data) == 100
        peer.send(widen(1, 3))
        await peer.until(lambda: len(peer.streams[1].data) == 103)
        peer.send(widen(1, 5))
        assert (await peer.ended(1)).messages() == [bytes(95), b"abc"]


async def test_a_client_that_takes_larger_frames_gets_them() -> None:
    largest = frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1 << 20))
    hello = HELLO + ACK + window(MIB) + largest
    sizes = []
    async with serving() as served, served.client(hello) as peer:
        peer.send(widen(0, MIB), begin(1, "Echo"), data(1, framed(bytes(60_000)), end=True))
        while not peer.streams[1].ended:
            before = len(peer.streams[1].data)
            await peer.take()
            sizes.append(len(peer.streams[1].data) - before)
    assert max(sizes) == 60_005


@pytest.mark.parametrize("padding", [0, 200])
async def test_more_than_a_call_has_room_for_ends_that_call_only(padding: int) -> None:
    stuck, go_on = Stuck(), asyncio.Event()

    async def unread(call: Call) -> None:
        await go_on.wait()

    pad = bytes((padding,)) + bytes(padding)
    full = frame(DATA, 8, 1, pad[:1] + bytes(16_384 - len(pad)) + pad[1:])
    async with serving({"Unread": unread, "Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Unread"), full * 3, frame(DATA, 0, 1, bytes(DEFAULT - 3 * 16_384)))
        await peer.answered()
        assert peer.streams[1].reset is None
        peer.send(frame(DATA, 0, 1, b"x"))
        assert (await peer.ended(1)).reset == FLOW_CONTROL_ERROR
        peer.send(begin(3, "Echo"), data(3, framed(b"a"), end=True))
        assert (await peer.ended(3)).messages() == [b"a"]
        assert not peer.goaways


async def test_a_call_that_sends_more_than_it_may_is_cancelled() -> None:
    """Also where it is read: it may send what it was told, and no more."""
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Stuck"))
        await peer.until(lambda: peer.granted[1])
        assert peer.granted[1] + DEFAULT == AHEAD
        peer.send(data(1, b"".join([framed(bytes(MIB - 5))] * 4)))
        await peer.answered()
        assert peer.streams[1].reset is None
        peer.send(data(1, b"x"))
        assert (await peer.ended(1)).reset == FLOW_CONTROL_ERROR
        await stuck.cancelled.wait()


async def test_who_is_read_may_send_on_without_end() -> None:
    """Twenty times what may lie ahead, and more than all windows that there were at first."""
    message = bytes(MIB // 2)
    async with serving() as served, served.client() as peer:
        peer.send(widen(0, 100 * MIB), window(100 * MIB), begin(1, "Echo"))
        room, count = DEFAULT, 0
        while count < 160:
            room += peer.granted.pop(1, 0)
            if room >= len(message) + 200:
                peer.send(data(1, framed(message)))
                room -= len(message) + 5
                count += 1
            else:
                await peer.take()
            peer.streams[1].data = b""
        peer.send(data(1, b"", end=True))
        answer = await peer.ended(1)
        assert answer.status == 0
        assert not peer.goaways


async def test_a_window_of_a_call_wider_than_may_be_ends_that_call() -> None:
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Stuck"), widen(1, LARGEST - DEFAULT))
        await stuck.begun.wait()
        await peer.answered()
        assert peer.streams[1].reset is None
        peer.send(widen(1, 1), begin(3, "Echo"), data(3, framed(b"a"), end=True))
        assert (await peer.ended(1)).reset == FLOW_CONTROL_ERROR
        await stuck.cancelled.wait()
        assert (await peer.ended(3)).messages() == [b"a"]


async def test_a_window_of_a_connection_wider_than_may_be_ends_that() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), widen(0, LARGEST - DEFAULT))
        await peer.answered()
        peer.send(widen(0, 1))
        await peer.closed()
        assert peer.goaways == [FLOW_CONTROL_ERROR]
        assert await served.serves()


async def test_a_window_widened_by_nothing_ends_its_call() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), widen(1, 0))
        assert (await peer.ended(1)).reset == PROTOCOL_ERROR
        assert not peer.goaways


@pytest.mark.parametrize("size", [1 << 31, (1 << 32) - 1])
async def test_a_setting_of_more_than_may_be_ends_the_connection(size: int) -> None:
    async with serving() as served, served.client() as peer:
        peer.send(window(size))
        await peer.closed()
        assert peer.goaways == [FLOW_CONTROL_ERROR]


async def test_a_setting_that_makes_a_window_wider_than_may_be_ends_the_connection() -> None:
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Stuck"), widen(1, LARGEST - DEFAULT), window(DEFAULT + 1))
        await peer.closed()
        assert peer.goaways == [FLOW_CONTROL_ERROR]


async def test_a_write_waits_for_room_and_ends_with_the_call() -> None:
    """Who leaves leaves nobody waiting."""
    outcomes: asyncio.Queue[str] = asyncio.Queue()

    async def write(call: Call) -> None:
        for _ in range(2):
            try:
                await call.write(bytes(60_000))
            except asyncio.CancelledError:
                outcomes.put_nowait("cancelled")
                raise
            outcomes.put_nowait("written")

    async with serving({"Write": write}) as served, served.client() as peer:
        peer.send(begin(1, "Write"))
        await peer.until(lambda: len(peer.streams[1].data) == DEFAULT)
        assert await outcomes.get() == "written"
        assert outcomes.empty()
        peer.send(reset(1))
        assert await outcomes.get() == "cancelled"


async def test_an_end_waits_for_what_was_written() -> None:
    async def write(call: Call) -> None:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(call.write(bytes(70_000)))
            await asyncio.sleep(0)
            call.finish(grpc.StatusCode.ABORTED, "enough")
            await writing

    async with serving({"Write": write}) as served, served.client() as peer:
        peer.send(begin(1, "Write"))
        await peer.until(lambda: len(peer.streams[1].data) == DEFAULT)
        await peer.answered()
        assert not peer.streams[1].ended
        peer.send(widen(1, MIB), widen(0, MIB))
        answer = await peer.ended(1)
    assert answer.messages() == [bytes(70_000)]
    assert answer.status == grpc.StatusCode.ABORTED.value[0]


async def test_a_client_that_reads_nothing_keeps_no_other_waiting() -> None:
    """Its socket is full: what it has asked for waits with its calls, until it has left."""
    wide = HELLO + ACK + window(LARGEST) + widen(0, LARGEST - DEFAULT)
    written = 0

    async def write(call: Call) -> None:
        nonlocal written
        while True:
            await call.write(bytes(MIB))
            written += 1

    async with serving({"Write": write}) as served:
        async with served.client(wide) as peer:
            peer.send(begin(1, "Write"))
            before = -1
            while before != written:
                before = written
                assert await served.serves()
            assert written < 64
            peer.writer.transport.abort()
        assert await served.serves()
