"""Frames become calls however they come; what breaks a connection breaks no other."""

from __future__ import annotations

import asyncio
import logging
import struct
import sys
from pathlib import Path

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rpc_peer import (
    MIB,
    SOON_S,
    Stuck,
    begin,
    data,
    framed,
    goaway,
    serving,
    widen,
)

from bench.rpc.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD_BYTES,
    HEADERS,
    HELLO,
    PING,
    RESET,
    SETTINGS,
    call,
    frame,
    headers,
)
from penstock.service.rpc import Call

PADDED = 8
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 3, 5, 6
REFUSED_STREAM, ENHANCE_YOUR_CALM = 7, 11


async def test_frames_may_come_byte_by_byte() -> None:
    whole = (
        HELLO + ACK + begin(1, "Echo") + data(1, framed(b"abc")) + data(1, framed(b""), end=True)
    )
    async with serving() as served, served.client(b"") as peer:
        for byte in whole:
            peer.send(bytes((byte,)))
            await peer.writer.drain()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        answer = await peer.ended(1)
    assert answer.messages() == [b"abc", b""]
    assert answer.status == 0


@pytest.mark.parametrize("size", [1, 7, 8, 9, 10, 100, 16_000, 40_000])
async def test_frames_may_be_cut_anywhere(size: int) -> None:
    sent = [bytes((at,)) * (at * 2000) for at in range(1, 8)] if size > 10 else [b"abc"]
    whole = HELLO + ACK + begin(1, "Echo") + data(1, b"".join(map(framed, sent)), end=True)
    async with serving() as served, served.client(b"") as peer:
        for at in range(0, len(whole), size):
            peer.send(whole[at : at + size])
            await asyncio.sleep(0)
        peer.send(widen(0, MIB), widen(1, MIB))
        assert (await peer.ended(1)).messages() == sent


async def test_headers_may_be_continued() -> None:
    block = headers(b"/t/Echo")
    async with serving() as served, served.client() as peer:
        peer.send(
            frame(HEADERS, 0, 1, block[:5]),
            frame(CONTINUATION, 0, 1, block[5:9]),
            frame(CONTINUATION, END_HEADERS, 1, block[9:]),
            data(1, framed(b"a"), end=True),
        )
        assert (await peer.ended(1)).messages() == [b"a"]


async def test_nothing_may_come_within_headers() -> None:
    block = headers(b"/t/Echo")
    async with serving() as served, served.client() as peer:
        peer.send(frame(HEADERS, 0, 1, block[:5]), data(1, framed(b"a")))
        await peer.closed()
        assert peer.goaways == [PROTOCOL_ERROR]


async def test_calls_that_begin_all_at_once_are_all_answered() -> None:
    streams = range(1, 401, 2)
    async with serving(max_streams=300) as served, served.client() as peer:
        peer.send(*(begin(stream, "Join") for stream in streams))
        peer.send(*(data(stream, framed(b"%d" % stream), end=True) for stream in streams))
        for stream in streams:
            assert (await peer.ended(stream)).messages() == [b"%d" % stream]


async def test_calls_beyond_what_a_connection_may_have_are_refused() -> None:
    async with serving(max_streams=2) as served, served.client() as peer:
        peer.send(*(begin(stream, "Echo") for stream in (1, 3, 5)))
        assert (await peer.ended(5)).reset == REFUSED_STREAM
        peer.send(data(1, framed(b"a"), end=True))
        assert (await peer.ended(1)).messages() == [b"a"]
        peer.send(begin(7, "Echo"), data(7, framed(b"b"), end=True))
        assert (await peer.ended(7)).messages() == [b"b"]


@pytest.mark.parametrize("is_empty", [True, False])
async def test_a_flood_of_tiny_frames_leaves_others_their_turns(is_empty: bool) -> None:
    """Of one that has come all at once, others see no end before they have had many turns."""
    message = b"" if is_empty else framed(bytes(30_000))
    flood = [frame(DATA, 0, 1, message[at : at + 1]) for at in range(30_000 + 5)]
    async with serving() as served, served.client() as peer, served.client() as other:
        other.send(begin(1, "Echo"))
        peer.send(begin(1, "Join"), *flood, frame(DATA, END_STREAM, 1))
        ended = asyncio.create_task(peer.ended(1))
        turns = 0
        while not ended.done():
            turns += 1
            other.send(data(1, framed(b"x")))
            await other.until(lambda: len(other.streams[1].messages()) >= turns)  # noqa: B023
        assert (await ended).status == 0
        assert turns > 10


async def test_padding_is_no_data() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(
            begin(1, "Echo"),
            frame(DATA, PADDED, 1, b"\3" + framed(b"abc")[:6] + b"pad"),
            frame(DATA, PADDED, 1, b"\0" + framed(b"abc")[6:]),
            frame(DATA, PADDED, 1, b"\2\0\0"),
            frame(DATA, PADDED | END_STREAM, 1, b"\1" + framed(b"d") + b"\0"),
        )
        assert (await peer.ended(1)).messages() == [b"abc", b"d"]


@pytest.mark.parametrize("payload", [b"", b"\1", b"\4abc", b"\xff"])
async def test_padding_longer_than_its_frame_ends_the_connection(payload: bytes) -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), frame(DATA, PADDED, 1, payload))
        await peer.closed()
        assert peer.goaways == [PROTOCOL_ERROR]
        assert await served.serves()


@pytest.mark.parametrize("kind", [DATA, HEADERS, PING, SETTINGS, 99])
@pytest.mark.parametrize("sent", ["its head", "a part", "one byte too many", "all"])
async def test_a_frame_that_is_too_large_ends_the_connection(kind: int, sent: str) -> None:
    """As soon as it says so: nobody waits for the rest of it, nor takes that for frames."""
    whole = frame(kind, 0, 1 if kind in (DATA, HEADERS) else 0, bytes(16_385))
    part = {"its head": 9, "a part": 500, "one byte too many": 9 + 16_384, "all": len(whole)}[sent]
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"))
        await peer.answered()
        peer.send(whole[:part])
        await peer.closed()
        assert peer.goaways == [FRAME_SIZE_ERROR]
        assert await served.serves()


async def test_a_frame_as_large_as_may_be_is_taken_in_parts() -> None:
    message = framed(bytes(16_384 - 5))
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Join"), frame(DATA, 0, 1, message)[:-1])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        peer.send(frame(DATA, 0, 1, message)[-1:], frame(DATA, END_STREAM, 1))
        assert (await peer.ended(1)).messages() == [message[5:]]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (data(3, framed(b"a")), PROTOCOL_ERROR),
        (data(0, framed(b"a")), PROTOCOL_ERROR),
        (data(2, framed(b"a")), PROTOCOL_ERROR),
        (widen(3, 5), PROTOCOL_ERROR),
        (widen(2, 5), PROTOCOL_ERROR),
        (frame(RESET, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
        (frame(8, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
        (frame(PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR),
        (call(b"/t/Echo", (), 2), PROTOCOL_ERROR),
        (widen(0, 0), PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 5, b"\xff\xff\xff\xff\xff\xff"), 9),
    ],
)
async def test_what_nobody_may_send_ends_the_connection(what: bytes, code: int) -> None:
    """Its calls are ended, and others are served."""
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Stuck"))
        await stuck.begun.wait()
        peer.send(what)
        await peer.closed()
        assert len(peer.goaways) == 1
        assert peer.goaways[0] in (code, PROTOCOL_ERROR)
        await stuck.cancelled.wait()
        assert await served.serves()


@pytest.mark.parametrize("broken", [frame(PING, 0, 0, bytes(7)), frame(DATA, PADDED, 1, b"\1")])
async def test_a_call_that_is_served_as_its_connection_breaks_ends_quietly(
    broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"))
        await peer.answered()
        peer.send(data(1, framed(b"a")), broken)
        await peer.closed()
        assert len(peer.goaways) == 1
    assert not said(caplog)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_nothing_behind_what_breaks_a_connection_is_heeded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    methods: list[str] = []

    async def noted(call: Call) -> None:
        methods.append(call.method)

    async with serving({"Noted": noted}) as served, served.client() as peer:
        peer.send(widen(0, 0) * 50 + begin(1, "Noted"))
        await peer.closed()
        assert len(peer.goaways) == 1
    assert not methods
    assert not said(caplog)


async def test_unknown_frames_are_ignored() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), frame(99, 255, 1, b"x"), frame(2, 0, 1, bytes(5)))
        peer.send(data(1, framed(b"a"), end=True))
        assert (await peer.ended(1)).messages() == [b"a"]


async def test_data_that_was_under_way_as_its_call_ended_is_ignored() -> None:
    async def refuse(call: Call) -> None:
        await call.abort(grpc.StatusCode.ABORTED, "enough")

    async with serving({"Refuse": refuse}) as served, served.client() as peer:
        peer.send(begin(1, "Refuse"))
        answer = await peer.ended(1)
        assert answer.status == grpc.StatusCode.ABORTED.value[0]
        peer.send(data(1, framed(bytes(30_000))), widen(1, 100), begin(3, "Echo"))
        peer.send(data(3, framed(b"a"), end=True), data(1, b"", end=True))
        assert (await peer.ended(3)).messages() == [b"a"]
        await peer.answered()
        assert not peer.goaways


async def test_data_behind_the_end_of_a_stream_reaches_no_call() -> None:
    go_on = asyncio.Event()
    found: list[object] = []

    async def late(call: Call) -> None:
        found.append(await call.read())
        found.append(await call.read())
        await go_on.wait()
        found.append(await call.read())

    async with serving({"Late": late}) as served, served.client() as peer:
        peer.send(begin(1, "Late"), data(1, framed(b"a"), end=True), data(1, framed(b"b")))
        peer.send(begin(3, "Echo"), data(3, framed(b"c"), end=True))
        await peer.until(lambda: peer.streams[3].ended or peer.streams[1].reset or peer.goaways)
        go_on.set()
        assert (await peer.ended(1)).reset in (None, STREAM_CLOSED)
        assert b"b" not in found


async def test_a_client_that_goes_away_has_its_calls_finished() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), data(1, framed(b"a")), goaway())
        await peer.until(lambda: peer.streams[1].messages() == [b"a"])
        peer.send(data(1, framed(b"b"), end=True))
        answer = await peer.ended(1)
    assert answer.messages() == [b"a", b"b"]
    assert answer.status == 0


async def test_pings_are_answered_by_what_they_say() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(frame(PING, 0, 0, b"12345678"))
        async with asyncio.timeout(SOON_S):
            while True:
                head = await peer.reader.readexactly(HEAD_BYTES)
                payload = await peer.reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == PING:
                    break
        assert head[4] == 1
        assert payload == b"12345678"


async def test_a_client_that_pings_without_end_is_cut_off() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(*(frame(PING, 0, 0, bytes(8)) for _ in range(5)))
        await peer.closed()
        assert peer.goaways == [ENHANCE_YOUR_CALM]
        assert await served.serves()


@pytest.mark.parametrize(
    "hello",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /t/Echo HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
        bytes(100),
    ],
)
async def test_who_speaks_no_http2_is_cut_off(hello: bytes) -> None:
    async with serving() as served, served.client(hello) as peer:
        await peer.closed()
        assert await served.serves()


async def test_who_begins_to_speak_and_stops_is_cut_off() -> None:
    async with serving(handshake_timeout_secs=0.2) as served, served.client(HELLO[:20]) as peer:
        await peer.closed()
        assert await served.serves()


async def test_who_confirms_the_limits_stays_and_who_does_not_is_cut_off() -> None:
    async with (
        serving(handshake_timeout_secs=0.2) as served,
        served.client() as peer,
        served.client(HELLO) as other,
    ):
        peer.send(begin(1, "Echo"))
        other.send(begin(1, "Echo"))
        await other.closed()
        peer.send(data(1, framed(b"a"), end=True))
        assert (await peer.ended(1)).messages() == [b"a"]


async def test_the_limits_are_said_first() -> None:
    async with (
        serving(max_streams=7, max_metadata_bytes=5000) as served,
        served.client(HELLO) as peer,
    ):
        head = await peer.reader.readexactly(HEAD_BYTES)
        payload = await peer.reader.readexactly(int.from_bytes(head[:3], "big"))
        assert head[3] == SETTINGS
        assert dict(struct.iter_unpack(">HI", payload)) == {3: 7, 6: 5000}


async def test_who_only_greets_is_answered_and_confirmed_as_anybody_is() -> None:
    """Without ``h2``, which is made for the first frame that is none of a greeting."""
    async with serving() as served, served.client(HELLO + ACK) as peer:
        await peer.until(lambda: peer.kinds.count(SETTINGS) == 2)  # its own, and what confirms ours
        (connection,) = served.server._open
        assert connection._engine._h2 is None
        assert connection._liveness.confirmed
        peer.send(begin(1, "Echo"), data(1, framed(b"a"), end=True))
        assert (await peer.ended(1)).status == 0
        assert connection._engine._h2 is not None
