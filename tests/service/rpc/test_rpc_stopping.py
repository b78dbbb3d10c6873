"""A server that stops lets go of nobody who can be waited for, and leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from certificates import Authority
from rpc_peer import Served, Stuck, begin, data, framed, serving, widen, window

from bench.rpc.http2 import ACK, HELLO
from penstock.service.rpc import Call

NO_ERROR, REFUSED_STREAM, UNAVAILABLE = 0, 7, 14
LONG_S = 30.0


async def stopping(served: Served, grace_s: float) -> asyncio.Task[None]:
    """One that stops, and has said so."""
    task = asyncio.create_task(served.server.stop(grace_s))
    await asyncio.sleep(0)
    return task


async def test_a_call_that_ends_within_the_grace_is_answered() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), data(1, framed(b"a")))
        await peer.until(lambda: peer.streams[1].messages() == [b"a"])
        stop = await stopping(served, LONG_S)
        await peer.until(lambda: peer.goaways)
        assert peer.goaways == [NO_ERROR]
        peer.send(data(1, framed(b"b"), end=True))
        answer = await peer.ended(1)
        assert answer.messages() == [b"a", b"b"]
        assert answer.status == 0
        await peer.closed()
        await stop


async def test_a_call_that_begins_too_late_is_refused() -> None:
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"))
        await peer.answered()
        stop = await stopping(served, LONG_S)
        peer.send(begin(3, "Echo"))
        assert (await peer.ended(3)).reset == REFUSED_STREAM
        peer.send(data(1, b"", end=True))
        assert (await peer.ended(1)).status == 0
        await stop


async def test_a_call_that_goes_on_is_ended_after_the_grace() -> None:
    stuck = Stuck()
    async with serving({"Stuck": stuck}) as served, served.client() as peer:
        peer.send(begin(1, "Stuck"))
        await stuck.begun.wait()
        await served.server.stop(0.05)
        assert stuck.cancelled.is_set()
        answer = await peer.ended(1)
        assert answer.status == UNAVAILABLE
        await peer.closed()
        assert peer.goaways == [NO_ERROR]


async def test_what_tidies_up_is_waited_for() -> None:
    tidied, begun = [], asyncio.Event()

    async def tidy(call: Call) -> None:
        begun.set()
        try:
            await call.read()
        finally:
            await asyncio.sleep(0.05)
            tidied.append(call)

    async with serving({"Tidy": tidy}) as served, served.client() as peer:
        peer.send(begin(1, "Tidy"))
        await begun.wait()
        await served.server.stop(0)
        assert len(tidied) == 1


async def test_who_has_no_call_keeps_nobody_waiting() -> None:
    async with serving() as served, served.client() as peer, served.client(b"") as silent:
        await peer.answered()
        await served.server.stop(LONG_S)
        await peer.closed()
        await silent.closed()
        assert peer.goaways == [NO_ERROR]


async def test_nobody_is_taken_any_more() -> None:
    async with serving() as served:
        await served.server.stop(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", served.port)


async def test_a_client_that_reads_nothing_is_left_behind() -> None:
    """What is ready for it lies in its socket."""

    async def write(call: Call) -> None:
        while True:
            await call.write(bytes(100_000))

    wide = HELLO + ACK + window((1 << 31) - 1)
    async with serving({"Write": write}) as served, served.client(wide) as peer:
        peer.send(widen(0, 1 << 30), begin(1, "Write"))
        for _ in range(50):
            assert await served.serves()
        await served.server.stop(0.05)
        peer.writer.transport.abort()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_nothing_is_open_when_it_has_stopped(encrypted: bool) -> None:
    ours = context() if encrypted else None
    stuck = Stuck()
    gc.collect()
    before = sockets(), len(asyncio.all_tasks())
    async with serving({"Stuck": stuck}, tls=ours and ours[0]) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=ours and ours[1])
        silent = socket.create_connection(("127.0.0.1", served.port))
        writer.write(HELLO + ACK + begin(1, "Stuck"))
        await stuck.begun.wait()
        await served.server.stop(0)
        assert not served.server._open
        assert not served.server._calls
        assert not served.server._joining
        assert len(asyncio.all_tasks()) == before[1]
        silent.close()
        writer.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sockets() == before[0]


def sockets() -> int:
    """How many this process has."""
    links = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            links.append(path.readlink())
        except OSError:
            continue
    return sum(str(link).startswith("socket:") for link in links)


def context() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A service's, and a client's that trusts it."""
    authority = Authority("ours")
    service = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        service.load_cert_chain(*authority.issue("service").write(Path(folder), "service"))
    service.set_alpn_protocols(["h2"])
    return service, authority.client_context()


async def test_calls_may_be_encrypted() -> None:
    ours, theirs = context()
    large = bytes(range(256)) * 200
    async with serving(tls=ours) as served, served.client(tls=theirs) as peer:
        peer.send(begin(1, "Echo"), data(1, framed(large), end=True))
        answer = await peer.ended(1)
        assert answer.messages() == [large]
        assert answer.status == 0
        ssl_object = peer.writer.get_extra_info("ssl_object")
        assert ssl_object.selected_alpn_protocol() == "h2"


async def test_who_does_not_encrypt_or_says_nothing_is_cut_off() -> None:
    ours, theirs = context()
    async with (
        serving(tls=ours, handshake_timeout_secs=0.3) as served,
        served.client() as plain,
        served.client(b"") as silent,
    ):
        await plain.closed()
        await silent.closed()
        async with served.client(tls=theirs) as peer:
            peer.send(begin(1, "Echo"), data(1, b"", end=True))
            assert (await peer.ended(1)).status == 0


async def test_an_encrypted_connection_that_breaks_is_told_why() -> None:
    ours, theirs = context()
    async with serving(tls=ours) as served, served.client(tls=theirs) as peer:
        peer.send(widen(0, 0) * 3, begin(1, "Echo"))
        await peer.closed()
        assert peer.goaways == [1]


async def test_what_is_small_waits_for_no_acknowledgement_of_what_was_before() -> None:
    """A chunk's result would wait for the client's next chunk (Nagle's algorithm)."""
    async with serving() as served, served.client() as peer:
        peer.send(begin(1, "Echo"), data(1, framed(b"a"), end=True))
        assert (await peer.ended(1)).status == 0
        (connection,) = served.server._open
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
