"""What is read where it comes, and written where nothing waits: without a turn of a task."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rpc_peer import MIB, SOON_S, begin, data, framed, serving, widen, window

from bench.rpc.http2 import ACK, DATA, END_STREAM, HELLO, frame
from penstock.service.rpc import Call
from penstock.service.rpc.outbox import FLUSH_BYTES

PADDED = 8
READY = b"ready"


class Reader:
    """A method that says when it waits, and has what ``takes`` takes at once."""

    def __init__(self, takes: Callable[[bytes], bool]) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.raised: Exception | None = None
        self._takes = takes

    async def __call__(self, call: Call) -> None:
        call.at_once = self._take
        await call.write(READY)
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                self.seen.append(("read", message))
        except ValueError as exc:
            self.raised = exc

    def _take(self, message: bytes) -> bool:
        is_taken = self._takes(message)
        if is_taken:
            self.seen.append(("at once", message))
        return is_taken


def everything(_message: bytes) -> bool:
    return True


def is_even(message: bytes) -> bool:
    return not message[0] % 2


async def told(reader: Reader, *frames: bytes, hello: bytes = HELLO + ACK) -> int | None:
    """Send frames in one segment to a reader that waits; the status of its call."""
    async with serving({"Read": reader}) as served, served.client(hello) as peer:
        peer.send(begin(1, "Read"))
        await peer.until(lambda: peer.streams[1].messages() == [READY])
        peer.send(*frames)
        return (await peer.ended(1)).status


async def test_what_a_reader_has_not_taken_it_reads_with_all_behind_it() -> None:
    reader = Reader(is_even)
    messages = [bytes((number,)) for number in (0, 2, 3, 4, 5, 6)]
    frames = [data(1, framed(message)) for message in messages]
    assert await told(reader, *frames, data(1, b"", end=True)) == 0
    assert [message for _, message in reader.seen] == messages
    assert [how for how, _ in reader.seen] == ["at once", "at once", *["read"] * 4]


async def test_a_reader_that_waits_again_takes_at_once_again() -> None:
    reader = Reader(is_even)
    async with serving({"Read": reader}) as served, served.client() as peer:
        peer.send(begin(1, "Read"), begin(3, "Echo"))
        await peer.until(lambda: peer.streams[1].messages() == [READY])
        for number in range(10):
            peer.send(data(1, framed(bytes((number,)))), data(3, framed(b"")))
            await peer.until(lambda: len(peer.streams[3].messages()) > number)  # noqa: B023
        peer.send(data(1, b"", end=True))
        assert (await peer.ended(1)).status == 0
    assert reader.seen == [
        ("read" if number % 2 else "at once", bytes((number,))) for number in range(10)
    ]


@pytest.mark.parametrize(
    "last",
    [
        data(1, framed(b"b"), end=True),
        data(1, framed(b"b")) + data(1, b"", end=True),
        frame(DATA, END_STREAM | PADDED, 1, b"\2" + framed(b"b") + b"\0\0"),
    ],
    ids=["in its frame", "in another", "padded"],
)
async def test_an_end_right_behind_a_message_is_heard(last: bytes) -> None:
    reader = Reader(everything)
    assert await told(reader, data(1, framed(b"a")), last) == 0
    assert reader.seen == [("at once", b"a"), ("at once", b"b")]


async def test_what_is_raised_over_a_message_is_the_readers_and_nothing_follows_it() -> None:
    def takes(message: bytes) -> bool:
        if message == b"bad":
            raise ValueError("it is bad")
        return True

    reader = Reader(takes)
    messages = [*[b"good"] * 50, b"bad", b"after"]
    frames = [data(1, framed(message)) for message in messages]
    assert await told(reader, *frames) == 0
    assert reader.seen == [("at once", b"good")] * 50
    assert str(reader.raised) == "it is bad"


async def test_long_messages_and_parts_of_some_are_read() -> None:
    reader = Reader(everything)
    long, parted, two = bytes(20_000), framed(b"parted"), framed(b"c") + framed(b"d")
    frames = [data(1, parted[:3]), data(1, parted[3:]), data(1, framed(long))]
    assert await told(reader, *frames, data(1, two, end=True)) == 0
    assert reader.seen[:2] == [("at once", b"parted"), ("read", long)]
    assert reader.seen[2:] == [("read", b"c"), ("read", b"d")]


async def test_messages_that_come_as_one_are_read() -> None:
    reader = Reader(everything)
    assert await told(reader, data(1, framed(b"a") + framed(b"b"), end=True)) == 0
    assert reader.seen == [("read", b"a"), ("read", b"b")]


async def test_there_is_room_for_more_when_all_has_been_taken() -> None:
    """A client may send 4 MiB ahead, and some more as that is taken."""
    reader, message = Reader(everything), bytes(16_000)
    wished = 12 * MIB
    async with serving({"Read": reader}) as served, served.client() as peer:
        peer.send(begin(1, "Read"))
        sent, room = 0, 65_535
        while sent < wished:
            granted, peer.granted[1] = peer.granted[1], 0
            room += granted
            while room >= len(message) + 5 and sent < wished:
                peer.send(data(1, framed(message)))
                sent += len(message) + 5
                room -= len(message) + 5
            if sent < wished:
                await peer.until(lambda: peer.granted[1])
        peer.send(data(1, b"", end=True))
        assert (await peer.ended(1)).status == 0
    assert sum(len(message) + 5 for _, message in reader.seen) == sent


async def test_who_is_cancelled_takes_nothing_any_more() -> None:
    seen = []

    async def give_up(call: Call) -> None:
        call.at_once = everything
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await call.read()
        await call.write(READY)
        await asyncio.sleep(0.05)  # the message comes
        seen.append(await call.read())

    async with serving({"GiveUp": give_up}) as served, served.client() as peer:
        peer.send(begin(1, "GiveUp"))
        await peer.until(lambda: peer.streams[1].messages() == [READY])
        peer.send(data(1, framed(b"a"), end=True))
        assert (await peer.ended(1)).status == 0
    assert seen == [b"a"]


async def test_who_takes_a_flood_at_once_leaves_others_their_turns() -> None:
    """All of it is in one connection, and each message takes a while."""
    count, taken = 3000, 0
    turns = 0

    def slowly(_message: bytes) -> bool:
        nonlocal taken
        taken += 1
        sum(range(2000))
        return True

    async with serving({"Flood": Reader(slowly)}) as served, served.client() as peer:
        peer.send(begin(1, "Flood"), begin(3, "Echo"))
        await peer.until(lambda: peer.streams[1].messages() == [READY])
        peer.send(*[data(1, framed(b"x"))] * count, data(3, framed(b"y")), data(1, b"", end=True))
        async with asyncio.timeout(SOON_S):
            while taken < count:
                turns += 1
                await asyncio.sleep(0)
        await peer.until(lambda: peer.streams[3].messages() == [b"y"])
        assert (await peer.ended(1)).status == 0
    assert turns > count // 256


async def test_what_is_written_at_once_keeps_its_place_and_needs_room() -> None:
    written: list[bool] = []

    async def write(call: Call) -> None:
        written.append(call.write_nowait(b"too early"))
        await call.write(b"a")
        written.append(call.write_nowait(b"b"))
        written.append(call.write_nowait(b"no room"))
        waiting = asyncio.create_task(call.write(b"no room either"))
        await asyncio.sleep(0)
        written.append(call.write_nowait(b""))  # which others wait ahead of
        await waiting
        written.append(call.write_nowait(b"c"))
        call.finish(grpc.StatusCode.OK)
        written.append(call.write_nowait(b"too late"))

    hello = HELLO + ACK + window(2 * 6 + 5)
    async with serving({"Write": write}) as served, served.client(hello) as peer:
        peer.send(begin(1, "Write"))
        await peer.until(lambda: len(peer.streams[1].data) == 2 * 6 + 5)
        peer.send(widen(1, 100))
        answer = await peer.ended(1)
    assert answer.messages() == [b"a", b"b", b"no room either", b"c"]
    assert written == [False, True, False, False, True, False]


async def test_what_is_written_at_once_is_no_more_than_a_turns_share() -> None:
    counts = []

    async def write(call: Call) -> None:
        await call.write(b"")
        for _ in range(3):
            count = 0
            while call.write_nowait(bytes(10_000)):
                count += 1
            counts.append(count)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    hello = HELLO + ACK + window(32 * MIB) + widen(0, 32 * MIB)
    async with serving({"Write": write}) as served, served.client(hello) as peer:
        peer.send(begin(1, "Write"))
        answer = await peer.ended(1)
    assert counts == [FLUSH_BYTES // 10_005 + 1] * 3
    assert len(answer.messages()) == 1 + sum(counts)


async def test_what_may_have_to_be_compressed_is_not_written_at_once() -> None:
    written = []

    async def write(call: Call) -> None:
        await call.write(b"a")
        written.append(call.write_nowait(b"b"))

    packs = (b"grpc-accept-encoding", b"gzip")
    async with serving({"Write": write}, compression="gzip") as served, served.client() as peer:
        peer.send(begin(1, "Write", packs))
        assert (await peer.ended(1)).messages() == [b"a"]
    assert written == [False]
