"""What a client sends in masses takes little memory, and leaves others their turns."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import resource
import socket
import struct
import sys
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from h2.errors import ErrorCodes

sys.path.insert(0, str(Path(__file__).parent))

from rpc_peer import MIB, SOON_S, Stuck, begin, data, framed, serving

from bench.rpc.http2 import ACK, CONTINUATION, HEADERS, HELLO, SETTINGS, frame
from penstock.manifest import ConnectionSettings
from penstock.service.rpc import Call, outbox
from penstock.service.rpc.engine import PREFACE, Engine

ENHANCE_YOUR_CALM = 11
INVALID, EXHAUSTED = 3, 8
PACKED = [(b"grpc-encoding", b"gzip")]


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def packed(message: bytes) -> bytes:
    sent = gzip.compress(message)
    return struct.pack(">BI", 1, len(sent)) + sent


async def test_compressed_messages_that_nobody_reads_stay_so() -> None:
    """A call's first window has room for some sixty that take a MiB each."""
    bombs = packed(bytes(MIB - 100)) * 60
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        before = peak_bytes()
        for stream in range(1, 9, 2):
            peer.send(begin(stream, "Stuck", *PACKED), data(stream, bombs))
        await peer.answered()
        await stuck.begun.wait()
        assert peak_bytes() - before < 60 * MIB


async def test_a_compressed_message_that_is_none_is_told_behind_those_before() -> None:
    for wrong, status in (
        (packed(bytes(2 * MIB)), EXHAUSTED),
        (b"\1\0\0\0\1x", INVALID),
    ):
        async with serving() as served, served.client() as peer:
            peer.send(begin(1, "Echo", *PACKED), data(1, packed(b"a") + wrong + framed(b"b")))
            answer = await peer.ended(1)
            assert answer.messages() == [b"a"]
            assert answer.status == status


async def test_a_large_compressed_message_is_read_whole() -> None:
    message = bytes(MIB)
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Join", *PACKED), data(1, packed(message) + framed(b"a"), end=True))
        await peer.answered()
        assert await served.serves()


async def test_who_reads_many_messages_leaves_others_their_turns() -> None:
    """The handler itself waits for nothing."""
    count, turns = 5000, 0
    done = asyncio.Event()

    async def swallow(call: Call) -> None:
        while await call.read() is not grpc.aio.EOF:
            continue
        done.set()

    async with serving({"Swallow": swallow}) as served, served.client() as peer:
        peer.send(begin(1, "Swallow"), data(1, framed(b"") * count, end=True))
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)
        assert (await peer.ended(1)).status == 0
    assert turns > count // 32


async def test_empty_messages_that_nobody_reads_are_not_without_end() -> None:
    """Each counts for more than its bytes, so that no room is granted for more of them."""
    many = 20_000
    released = asyncio.Event()

    async def one_by_one(call: Call) -> None:
        for _ in range(100):
            await call.read()
        await released.wait()

    async with serving({"Slow": one_by_one}) as served, served.client() as peer:
        peer.send(begin(1, "Slow"))
        await peer.until(lambda: peer.granted[1] > MIB)
        peer.granted[1] = 0
        for _ in range(20):
            peer.send(data(1, framed(b"") * many))
        await peer.answered()
        assert not peer.granted[1]
        released.set()


async def test_settings_that_mean_nothing_are_not_kept() -> None:
    async with serving() as served, served.client() as peer:
        before = peak_bytes()
        for first in range(7, 0x10000, 2700):
            codes = range(first, min(first + 2700, 0x10000))
            peer.send(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", it, 1) for it in codes)))
        await peer.answered()
        assert peak_bytes() - before < 20 * MIB
        assert not peer.goaways


def test_calls_that_have_ended_are_not_remembered_without_end() -> None:
    engine = Engine(ConnectionSettings())
    engine.receive_data(PREFACE)

    def taken_after(streams: range) -> int:
        for stream in streams:
            engine.receive_data(begin(stream, "Echo"))
            engine.reset_stream(stream, ErrorCodes.CANCEL)
            engine.data_to_send()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = taken_after(range(1, 3001, 2))
        assert taken_after(range(3001, 4601, 2)) - before < 800 * 30
    finally:
        tracemalloc.stop()


async def test_headers_that_never_end_are_refused() -> None:
    """Long before all that fits into as many frames as there may be."""
    async with serving() as served, served.client() as peer:
        peer.send(frame(HEADERS, 0, 1), *[frame(CONTINUATION, 0, 1, bytes(16_384))] * 5)
        await peer.closed()
        assert peer.goaways == [ENHANCE_YOUR_CALM]
        assert peer.streams[1].status == EXHAUSTED
        assert await served.serves()


async def test_who_asks_without_end_and_reads_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each setting is confirmed, and nobody takes that."""
    monkeypatch.setattr(outbox, "_MOST_UNHEARD_BYTES", 8 << 10)
    monkeypatch.setattr(outbox, "FLUSH_BYTES", 8 << 10)
    many = frame(SETTINGS, 0, 0) * 20_000
    loop = asyncio.get_running_loop()
    async with serving() as served:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", served.port))
            await loop.sock_sendall(client, HELLO + ACK)
            await asyncio.sleep(0.1)
            (connection,) = served.server._open
            taken = connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            async with asyncio.timeout(SOON_S):
                with contextlib.suppress(ConnectionError):
                    while True:
                        await loop.sock_sendall(client, many)
        assert await served.serves()


class Begun:
    """A method that tells in which turn of the loop each of its calls was begun."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self._turn = 0
        self._count()

    def _count(self) -> None:
        self._turn += 1
        asyncio.get_running_loop().call_soon(self._count)

    async def __call__(self, call: Call) -> None:
        self.turns.append(self._turn)
        while await call.read() is not grpc.aio.EOF:
            continue

    async def all(self, count: int) -> None:
        while len(self.turns) < count:  # noqa: ASYNC110  # each turn is one that may be too full
            await asyncio.sleep(0)

    def most_at_once(self) -> int:
        return max(Counter(self.turns).values())


async def test_calls_that_come_at_once_are_begun_a_few_in_each_turn() -> None:
    """And who comes after them with one doesn't wait for all of theirs."""
    begun = Begun()
    async with (
        serving({"Begun": begun}, max_call_rate_per_peer=10_000) as served,
        contextlib.AsyncExitStack() as clients,
    ):
        many = b"".join(begin(stream, "Begun") for stream in range(1, 101, 2))
        peers = [await clients.enter_async_context(served.client()) for _ in range(20)]
        for peer in peers:
            await peer.answered()
        for peer in peers:
            peer.send(many)
        await begun.all(1)
        assert await served.serves()
        assert len(begun.turns) < 900
        await begun.all(1000)
        assert begun.most_at_once() <= 8


async def test_headers_that_come_in_two_parts_have_to_wait_as_others_do() -> None:
    begun = Begun()
    async with serving({"Begun": begun}) as served, contextlib.AsyncExitStack() as clients:
        peers = [await clients.enter_async_context(served.client()) for _ in range(60)]
        headers = begin(1, "Begun")
        for peer in peers:
            await peer.answered()
            peer.send(headers[:20])
            await peer.writer.drain()
        await asyncio.sleep(0.05)
        for peer in peers:
            peer.send(headers[20:], data(1, b"", end=True))
        await begun.all(60)
        assert begun.most_at_once() <= 8
        for peer in peers:
            assert (await peer.ended(1)).status == 0


async def test_who_leaves_while_its_call_has_to_wait_keeps_nobody_up() -> None:
    begun = Begun()
    async with serving({"Begun": begun}, max_call_rate_per_peer=10_000) as served:
        many = b"".join(begin(stream, "Begun") for stream in range(1, 101, 2))
        for _ in range(20):
            async with served.client() as peer:
                peer.send(many)
        assert await served.serves()
        assert await served.serves()


@pytest.mark.parametrize("greeting", [b"", HELLO, HELLO + ACK])
async def test_a_connection_that_is_gone_is_freed_at_once(greeting: bytes) -> None:
    """To look through thousands, for what is garbage, stops everything for a tenth of a second."""
    async with serving() as served, contextlib.AsyncExitStack() as clients:
        gc.collect()
        gc.disable()
        clients.callback(gc.enable)
        async with served.client(greeting) as peer:
            if HELLO in greeting:
                await peer.answered()
            await until(lambda: bool(served.server._open))
            (connection,) = served.server._open
            parts = connection, connection._transport, connection._inflow, connection._liveness
            left = [weakref.ref(part) for part in parts]
            del connection, parts
        await until(lambda: not served.server._open)
        await asyncio.sleep(0)
        assert [one() for one in left] == [None] * 4


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not holds():  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0)
