"""Clients that mean no good, or don't know better: others are served, and memory stays bounded.

The long form, with latencies and ten thousand connections, is ``python -m bench.abuse``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import re
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from bearers import written
from wire_client import WireClient, calls_ended, init, pipeline, text

from bench.rpc.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEAD_BYTES,
    HEADERS,
    HELLO,
    PING,
    RESET,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    connected,
    frame,
    headers,
    message,
    until,
)
from penstock.manifest import ConnectionSettings, Limits, ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

EXECUTE = b"/remotemedia.v1.PipelineExecutionService/ExecutePipeline"
MIB = 1 << 20
SOON_S = 0.3


@contextlib.asynccontextmanager
async def serving(
    connections: ConnectionSettings | None = None, **service: Any
) -> AsyncIterator[str]:
    """A service that takes messages of at most 1 MiB."""
    settings = Settings(
        limits=Limits(max_message_bytes=MIB),
        service=ServiceSettings(connections=connections or ConnectionSettings(), **service),
    )
    async with running(settings, "127.0.0.1:0", Catalogue.installed()) as address:
        yield address
    await calls_ended()


async def is_served(address: str) -> bool:
    async with WireClient(address) as wire:
        request = execution.ExecuteRequest(
            manifest=pipeline("PassThrough"), data_inputs={"n0": text("a")}
        )
        return (await wire.execute(request)).WhichOneof("outcome") == "result"


async def code_of(called: Awaitable[Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await called
    return caught.value.code()


async def test_connections_that_never_speak_are_closed_and_keep_nobody_waiting() -> None:
    limits = ConnectionSettings(handshake_timeout_secs=SOON_S)
    async with serving(limits) as address, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(address)) for _ in range(200)]
        assert await is_served(address)
        for reader, _ in silent:
            with contextlib.suppress(ConnectionError):
                while await reader.read(1000):  # the service's own settings, and then its end
                    continue


async def test_a_connection_too_many_is_closed() -> None:
    async with serving(ConnectionSettings(max_connections=2)) as address, AsyncExitStack() as stack:
        for _ in range(2):
            reader, writer = await stack.enter_async_context(connected(address))
            writer.write(HELLO)
            await reader.readexactly(HEAD_BYTES)
        reader, writer = await stack.enter_async_context(connected(address))
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


async def test_a_call_that_never_sends_its_request_is_ended() -> None:
    async with (
        serving(ConnectionSettings(first_message_secs=SOON_S)) as address,
        connected(address) as (reader, writer),
    ):
        writer.write(HELLO + call(EXECUTE))
        assert b"grpc-status" in await trailers(reader)
        assert await is_served(address)


async def trailers(reader: asyncio.StreamReader) -> bytes:
    first = await until(reader, HEADERS)
    return first if b"grpc-status" in first else await until(reader, HEADERS)


async def test_a_client_whose_host_is_gone_is_noticed() -> None:
    """It has a call open and answers no ping."""
    limits = ConnectionSettings(keepalive_secs=SOON_S, keepalive_timeout_secs=SOON_S)
    async with serving(limits) as address, connected(address) as (reader, writer):
        writer.write(HELLO + call(EXECUTE))
        await until(reader, PING)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await until(reader, DATA)


async def test_an_idle_connection_is_closed_where_that_is_wished() -> None:
    limits = ConnectionSettings(max_idle_secs=SOON_S)
    async with serving(limits) as address, connected(address) as (reader, writer):
        writer.write(HELLO)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await until(reader, DATA)
        assert await is_served(address)


async def test_a_message_that_is_too_long_is_refused() -> None:
    async with serving() as address, grpc.aio.insecure_channel(address) as channel:
        method: Any = channel.unary_unary(EXECUTE.decode())
        assert await code_of(method(b"\0" * (2 * MIB))) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await is_served(address)


async def test_a_message_that_is_too_long_unpacked_is_refused_and_takes_no_memory() -> None:
    """32 MiB in 32 KiB, for which there is room on a connection."""
    bomb = gzip.compress(bytes(32 * MIB))
    async with serving() as address:
        assert await is_served(address)
        reset_peak()
        before = peak_bytes()
        for _ in range(3):
            async with connected(address) as (reader, writer):
                encoding = [(b"grpc-encoding", b"gzip")]
                writer.write(HELLO + call(EXECUTE, encoding))
                writer.write(message(bomb, compressed=True))
                assert b"grpc-status" in await trailers(reader)
        assert peak_bytes() - before < 16 * MIB
        assert await is_served(address)


@pytest.mark.parametrize("is_packed", [False, True])
async def test_the_requests_of_who_is_unknown_take_little_memory(
    is_packed: bool, tmp_path: Path
) -> None:
    """At most ten times what is on the wire; packed, these are a thousand times as much."""
    content = gzip.compress(bytes(56 * MIB)) if is_packed else bytes(56 << 10)
    encoding = [(b"grpc-encoding", b"gzip")] if is_packed else []
    request = HELLO + call(EXECUTE, encoding) + message(content, compressed=is_packed)
    tokens = str(written(tmp_path / "tokens.toml"))
    async with serving(tokens=tokens) as address, AsyncExitStack() as stack:
        for _ in range(2):  # what is needed once is there by then
            unknown = [await stack.enter_async_context(connected(address)) for _ in range(16)]
            reset_peak()
            before = peak_bytes()
            for _, writer in unknown:
                writer.write(request)
            for reader, _ in unknown:
                assert b"expected metadata 'authorization" in await trailers(reader)
        assert peak_bytes() - before < 10 * 16 * len(request)


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) << 10


@pytest.mark.parametrize("wished", ["none", "gzip", "deflate"])
async def test_answers_are_compressed_where_that_is_wished_and_understood(wished: Any) -> None:
    async with serving(compression=wished) as address:
        for accepted in (b"identity", b"identity,deflate,gzip"):
            async with connected(address) as (reader, writer):
                writer.write(
                    HELLO + call(more=[(b"grpc-accept-encoding", accepted)]) + message(b"")
                )
                is_compressed = bool((await until(reader, DATA))[0])
            assert is_compressed is (wished != "none" and b"gzip" in accepted)


@pytest.mark.parametrize("kind", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_requests_may_be_compressed(kind: grpc.Compression) -> None:
    async with serving() as address, WireClient(address) as wire:
        request = execution.ExecuteRequest(
            manifest=pipeline("PassThrough"), data_inputs={"n0": text("a" * 10_000)}
        )
        assert (await wire.execute(request, compression=kind)).WhichOneof("outcome") == "result"


async def test_one_connection_has_its_share_of_calls() -> None:
    """The calls beyond it are refused; the other connection has its own."""
    async with (
        serving(ConnectionSettings(max_streams=2)) as address,
        connected(address) as (reader, writer),
    ):
        writer.write(HELLO)
        for stream in (1, 3, 5):
            writer.write(call_on(stream))
        assert await until(reader, RESET) in (REFUSED_STREAM, ENHANCE_YOUR_CALM)
        assert await is_served(address)


async def test_who_has_its_share_all_the_time_has_no_call_refused() -> None:
    """A call that has ended for its client makes room, also where the service has yet to see it."""

    async def one_after_the_other(wire: WireClient) -> None:
        for _ in range(100):
            await wire.version(execution.VersionRequest())

    async with (
        serving(ConnectionSettings(max_streams=4)) as address,
        WireClient(address, alone=True) as wire,
    ):
        await asyncio.gather(*(one_after_the_other(wire) for _ in range(8)))


async def test_what_a_stream_may_have_sent_unread_does_not_grow() -> None:
    """Nor is anything to be had beyond what is told to who reads; nothing is found out by pings."""
    initial_window, default_window = 4, (64 << 10) - 1
    async with serving() as address, connected(address) as (reader, writer):
        writer.write(HELLO)
        settings = dict(struct.iter_unpack(">HI", await until(reader, SETTINGS)))
        assert initial_window not in settings
        await until(reader, WINDOW_UPDATE)  # of the connection
        writer.write(ACK + call(EXECUTE))
        more = int.from_bytes(await until(reader, WINDOW_UPDATE), "big")
        assert default_window + more == 4 * MIB
        writer.write(frame(DATA, 0, 1, bytes(16_000)) * 20)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await until(reader, PING)


async def test_a_stream_that_nobody_read_leaves_no_memory() -> None:
    """Also not until garbage is collected, which a service with little to do does seldom."""
    async with serving() as address, WireClient(address, narrow=True) as wire:
        gc.disable()
        try:
            before = shared_bytes()
            call = wire.stream()
            await call.write(init(pipeline("PassThrough")))
            await write_until_it_waits(call)
            assert shared_bytes() - before > 4 * MIB
            call.cancel()
            async with asyncio.timeout(10):
                while shared_bytes() - before > MIB:  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()


async def write_until_it_waits(call: Any) -> None:
    chunk = streaming.StreamRequest()
    chunk.data_chunk.buffer.binary.data = bytes(64 << 10)
    with contextlib.suppress(TimeoutError):
        for _ in range(10_000):
            async with asyncio.timeout(1):
                await call.write(chunk)
        pytest.fail("it never waits")


def shared_bytes() -> int:
    found = re.search(r"RssShmem:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) << 10


REFUSED_STREAM, ENHANCE_YOUR_CALM = ((code).to_bytes(4, "big") for code in (7, 11))


def call_on(stream: int) -> bytes:
    whole = call(EXECUTE)
    return frame(HEADERS, END_HEADERS, stream, whole[HEAD_BYTES:])


TINY, EACH = b"\x40\x01x\x04tiny", b"\xbe"
"""A header that HPACK remembers, and all of it again in one byte."""


async def test_metadata_that_is_small_on_the_wire_only_is_refused_and_takes_no_memory() -> None:
    """Half a MiB of references to one header are 18 MiB of headers."""
    async with serving() as address:
        assert await is_served(address)
        reset_peak()
        before = peak_bytes()
        for _ in range(3):
            async with connected(address) as (reader, writer):
                writer.write(HELLO)
                await until(reader, SETTINGS)
                begin = frame(HEADERS, 0, 1, headers(EXECUTE) + TINY)
                rest = [frame(CONTINUATION, 0, 1, EACH * 16_000) for _ in range(32)]
                end = frame(CONTINUATION, END_HEADERS, 1, EACH)
                writer.write(ACK + begin + b"".join(rest) + end)
                assert b"grpc-status" in await trailers(reader)
        assert peak_bytes() - before < 8 * MIB
        assert await is_served(address)


async def test_a_client_that_does_not_confirm_the_limits_is_cut_off() -> None:
    limits = ConnectionSettings(handshake_timeout_secs=SOON_S)
    async with serving(limits) as address, connected(address) as (reader, writer):
        writer.write(HELLO + call(EXECUTE))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await until(reader, DATA)
        assert await is_served(address)
