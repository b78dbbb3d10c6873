"""How calls end: by their handlers, by their clients, by their time, and by what is wrong."""

from __future__ import annotations

import asyncio
import gzip
import logging
import struct
import sys
from pathlib import Path

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rpc_peer import MIB, Stuck, begin, data, framed, reset, serving, widen, window

from bench.rpc.http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    HELLO,
    frame,
    headers,
)
from penstock.service.rpc import Call, CallOverError
from penstock.service.rpc.headers import PlainEncoder

NO_ERROR, PROTOCOL_ERROR, CANCEL = 0, 1, 8
EXHAUSTED, INVALID, DEADLINE, UNIMPLEMENTED, INTERNAL, ABORTED = 8, 3, 4, 12, 13, 10


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_call_is_answered_by_one_message_or_many() -> None:
    sent = [b"a", b"", b"bc"]
    async with serving() as served, served.client() as peer:
        for stream, method in ((1, "Echo"), (3, "Join")):
            peer.send(begin(stream, method), data(stream, b"".join(map(framed, sent)), end=True))
        first, second = await peer.ended(1), await peer.ended(3)
    assert first.messages() == sent
    assert second.messages() == [b"abc"]
    assert first.status == second.status == 0
    assert first.reset is second.reset is None
    assert first.headers[0][b":status"] == b"200"
    assert first.headers[0][b"content-type"] == b"application/grpc"


@pytest.mark.parametrize("size", [16_379, 16_380, 100_000, MIB])
async def test_an_answer_of_any_size_ends_once(size: int, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served, served.client(HELLO + ACK + window(2 * MIB)) as peer:
        peer.send(widen(0, 2 * MIB), begin(1, "Join"))
        await peer.until(lambda: peer.granted[1])
        peer.send(data(1, framed(bytes(size)), end=True))
        answer = await peer.ended(1)
        await peer.answered()
    assert answer.messages() == [bytes(size)]
    assert len(answer.headers) == 2
    assert not said(caplog)


async def test_a_handler_that_fails_tells_that_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(call: Call) -> None:
        await call.write(b"a")
        raise ValueError("a secret")

    async with serving({"Fail": fail}) as served, served.client() as peer:
        peer.send(begin(1, "Fail"))
        answer = await peer.ended(1)
        assert answer.messages() == [b"a"]
        assert answer.status == INTERNAL
        assert b"secret" not in answer.message
        assert "a secret" in caplog.text
        assert await served.serves()


async def test_a_handler_may_abort_and_what_it_does_then_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried: list[str] = []

    async def abort(call: Call) -> None:
        await call.write(b"a")
        call.set_trailing_metadata((("why", "so"), ("b-bin", b"\xff")))
        try:
            await call.abort(grpc.StatusCode.ABORTED, "50% é")
        except grpc.aio.AbortError:
            tried.append("aborted")
        for again in (call.write(b"b"), call.abort(grpc.StatusCode.OK)):
            try:
                await again
            except CallOverError:
                tried.append("over")
        call.finish(grpc.StatusCode.OK)
        assert call.code() is grpc.StatusCode.ABORTED

    async with serving({"Abort": abort}) as served, served.client() as peer:
        peer.send(begin(1, "Abort"))
        answer = await peer.ended(1)
        await peer.answered()
    assert tried == ["aborted", "over", "over"]
    assert answer.messages() == [b"a"]
    assert answer.status == ABORTED
    assert answer.message == b"50%25 %C3%A9"
    assert answer.headers[-1][b"why"] == b"so"
    assert answer.headers[-1][b"b-bin"] == b"/w"
    assert answer.reset == NO_ERROR
    assert not said(caplog)


async def test_a_call_that_ends_before_its_client_has_is_let_go() -> None:
    async def enough(call: Call) -> None:
        await call.read()

    async with serving({"Enough": enough}) as served, served.client() as peer:
        peer.send(begin(1, "Enough"), data(1, framed(b"a")))
        await peer.until(lambda: peer.streams[1].reset is not None)
        assert peer.streams[1].ended
        assert peer.streams[1].status == 0
        assert peer.streams[1].reset == NO_ERROR


@pytest.mark.parametrize(
    "path", [b"/t/None", b"/none/Echo", b"", b"/", b"\xff", b"/t/" + b"x" * 9000]
)
@pytest.mark.parametrize("flags", [END_HEADERS, END_HEADERS | END_STREAM])
async def test_an_unknown_method_is_none(path: bytes, flags: int) -> None:
    async with serving() as served, served.client() as peer:
        peer.send(frame(HEADERS, flags, 1, headers(path)))
        assert (await peer.ended(1)).status == UNIMPLEMENTED
        await peer.answered()
        peer.send(begin(3, "Echo"), data(3, b"", end=True))
        assert (await peer.ended(3)).status == 0


@pytest.mark.parametrize("flags", [END_HEADERS, END_HEADERS | END_STREAM])
async def test_what_is_no_grpc_is_told_so_and_others_go_on(flags: int) -> None:
    block = headers(b"/t/Echo", [(b"content-type", b"text/html")])
    async with serving() as served, served.client() as peer:
        peer.send(frame(HEADERS, flags, 1, block))
        answer = await peer.ended(1)
        assert answer.headers == [{b":status": b"415"}]
        assert answer.ended
        peer.send(begin(3, "Echo"), data(3, framed(b"a"), end=True))
        assert (await peer.ended(3)).messages() == [b"a"]


@pytest.mark.parametrize("flags", [END_HEADERS, END_HEADERS | END_STREAM])
@pytest.mark.parametrize(
    ("path", "more"),
    [
        (b"/t/Echo", (b"content-length", b"x")),
        (b"/t/Echo", (b"a", b"x\r\nWARNING of nothing")),
        (b"/t/None\nWARNING of nothing", (b"a", b"x")),
        (b"/t/Echo", (b"A", b"x")),
    ],
    ids=["length", "value", "path", "name"],
)
async def test_a_malformed_request_ends_its_stream_and_others_go_on(
    path: bytes, more: tuple[bytes, bytes], flags: int, caplog: pytest.LogCaptureFixture
) -> None:
    block = headers(path, [more])
    caplog.set_level(logging.DEBUG)
    async with serving() as served, served.client() as peer:
        peer.send(frame(HEADERS, flags, 1, block), data(1, framed(b"a")))
        answer = await peer.ended(1)
        assert answer.reset == PROTOCOL_ERROR
        assert not answer.headers
        peer.send(begin(3, "Echo"), data(3, framed(b"a"), end=True))
        assert (await peer.ended(3)).messages() == [b"a"]
    assert "WARNING" not in caplog.text


@pytest.mark.parametrize("length", [b"6", b"0", b"99"])
async def test_who_says_how_long_it_all_is_is_served(length: bytes) -> None:
    block = PlainEncoder().encode([(b"content-length", b"x")])
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo", (b"content-length", length)), data(1, framed(b"a")), trailers)
        answer = await peer.ended(1)
        assert answer.messages() == [b"a"]
        assert answer.status == 0


async def test_metadata_that_is_too_much_is_refused_and_others_go_on() -> None:
    async with serving(max_metadata_bytes=2000) as served, served.client() as peer:
        peer.send(begin(1, "Echo", (b"a", b"x" * 2000)))
        assert (await peer.ended(1)).status == EXHAUSTED
        peer.send(begin(3, "Echo", (b"a", b"x" * 1000)), data(3, framed(b"a"), end=True))
        assert (await peer.ended(3)).messages() == [b"a"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (framed(b"abc")[:-1], INVALID),
        (framed(b"abc")[:2], INVALID),
        (b"\2\0\0\0\0", INVALID),
        (b"\1\0\0\0\0", INVALID),
        (b"\0\0\x20\0\0", EXHAUSTED),
    ],
)
async def test_what_is_wrong_is_told_behind_what_was_right(
    sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is it the service's fault, of which its log tells."""
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), data(1, framed(b"a")), data(1, sent, end=True))
        answer = await peer.ended(1)
        assert answer.messages() == [b"a"]
        assert answer.status == status
        await peer.answered()
        assert await served.serves()
    assert not said(caplog)


async def test_messages_in_the_same_frame_as_what_is_wrong_are_answered() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), data(1, framed(b"a") + framed(b"b") + b"\2\0\0\0\0"))
        answer = await peer.ended(1)
        assert answer.messages() == [b"a", b"b"]
        assert answer.status == INVALID


async def test_compressed_messages_are_read_and_answered_so_where_that_is_shorter() -> None:
    packed = gzip.compress(bytes(1000))
    asked = [(b"grpc-encoding", b"gzip"), (b"grpc-accept-encoding", b"gzip")]
    async with serving(compression="gzip") as served, served.client() as peer:
        peer.send(begin(1, "Echo", *asked))
        peer.send(data(1, struct.pack(">BI", 1, len(packed)) + packed + framed(b"a"), end=True))
        answer = await peer.ended(1)
    first, second = answer.messages()
    assert answer.data[0] == 1
    assert gzip.decompress(first) == bytes(1000)
    assert second == b"a"
    assert answer.headers[0][b"grpc-encoding"] == b"gzip"


async def test_a_client_that_resets_its_call_cancels_it(caplog: pytest.LogCaptureFixture) -> None:
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Stuck"), begin(3, "Echo"))
        await stuck.begun.wait()
        peer.send(reset(1))
        await stuck.cancelled.wait()
        peer.send(data(3, framed(b"a"), end=True))
        assert (await peer.ended(3)).messages() == [b"a"]
        assert not peer.streams[1].headers
    assert not said(caplog)


@pytest.mark.parametrize("how", ["close", "abort", "half"])
async def test_a_client_that_leaves_cancels_its_calls(how: str) -> None:
    stuck, done = Stuck(), asyncio.Event()

    async def noted(call: Call) -> None:
        call.add_done_callback(lambda _: done.set())
        await stuck(call)

    async with serving({"Stuck": noted}) as served:
        async with served.client() as peer:
            peer.send(begin(1, "Stuck"), data(1, framed(b"a")))
            await stuck.begun.wait()
            match how:
                case "close":
                    peer.writer.close()
                case "abort":
                    peer.writer.transport.abort()
                case "half":
                    peer.writer.write_eof()
            await stuck.cancelled.wait()
        assert done.is_set()
        assert await served.serves()


@pytest.mark.parametrize("timeout", [b"50m", b"0S"])
async def test_a_call_has_the_time_that_its_client_gives_it(timeout: bytes) -> None:
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Stuck", (b"grpc-timeout", timeout)))
        answer = await peer.ended(1)
        assert answer.status == DEADLINE
        if stuck.begun.is_set():
            await stuck.cancelled.wait()
        peer.send(begin(3, "Echo", (b"grpc-timeout", b"99999999H")), data(3, b"", end=True))
        assert (await peer.ended(3)).status == 0


async def test_time_that_is_over_ends_a_call_that_waits_for_room() -> None:
    """What it has not sent by then isn't sent any more."""
    hello = HELLO + ACK + window(10)
    async with serving() as served, served.client(hello) as peer:
        peer.send(begin(1, "Echo", (b"grpc-timeout", b"50m")), data(1, framed(bytes(100))))
        answer = await peer.ended(1)
        assert answer.status == DEADLINE
        peer.send(widen(1, 1000))
        await peer.answered()
        assert len(answer.data) == 10


async def test_more_calls_than_there_may_be_are_refused() -> None:
    stuck = Stuck()
    async with (
        serving({"Stuck": stuck}, max_calls=2) as served,
        served.client() as peer,
        served.client() as other,
    ):
        peer.send(begin(1, "Stuck"), begin(3, "Stuck"))
        await peer.answered()
        for stream, flags in ((1, END_HEADERS), (3, END_HEADERS | END_STREAM)):
            other.send(frame(HEADERS, flags, stream, headers(b"/t/Echo")))
            assert (await other.ended(stream)).status == EXHAUSTED
        peer.send(reset(1))
        await stuck.cancelled.wait()
        other.send(begin(5, "Echo"), data(5, framed(b"a"), end=True))
        assert (await other.ended(5)).messages() == [b"a"]


async def test_a_handler_that_is_cancelled_from_within_resets_its_call() -> None:
    async def give_up(call: Call) -> None:
        raise asyncio.CancelledError

    async with serving({"GiveUp": give_up}) as served, served.client() as peer:
        peer.send(begin(1, "GiveUp"))
        assert (await peer.ended(1)).reset == CANCEL
        assert await served.serves()


async def test_a_read_that_is_cancelled_has_taken_nothing() -> None:
    found: list[object] = []
    waiting = asyncio.Event()

    async def patient(call: Call) -> None:
        reading = asyncio.ensure_future(call.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        waiting.set()
        found.append(await call.read())

    async with serving({"Patient": patient}) as served, served.client() as peer:
        peer.send(begin(1, "Patient"))
        await waiting.wait()
        peer.send(data(1, framed(b"a"), end=True))
        assert (await peer.ended(1)).status == 0
    assert found == [b"a"]


async def test_a_handler_is_told_of_its_call() -> None:
    found: list[object] = []

    async def look(call: Call) -> None:
        found.extend((call.method, call.invocation_metadata(), call.peer(), call.auth_context()))
        remaining = call.time_remaining()
        assert remaining is not None
        assert 3599 < remaining <= 3600

    async with serving({"Look": look}) as served, served.client() as peer:
        more = (b"a", b"1"), (b"grpc-timeout", b"1H")
        peer.send(begin(1, "Look", *more), data(1, b"", end=True))
        assert (await peer.ended(1)).status == 0
        host, port = peer.writer.get_extra_info("sockname")
    assert found == ["/t/Look", (("a", "1"),), f"ipv4:{host}:{port}", {}]
