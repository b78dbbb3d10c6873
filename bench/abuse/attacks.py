"""What clients do that mean no good, or are broken; each goes on until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import zlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc

from bench.abuse.neighbour import bearing
from bench.rpc.http2 import (
    END_HEADERS,
    HEADERS,
    HELLO,
    RESET,
    Field,
    call,
    connected,
    frame,
    headers,
    message,
)
from penstock.wire.methods import GET_VERSION, STREAM_PIPELINE
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming


@dataclass(frozen=True, slots=True)
class Victim:
    """Where the service is, a token that it knows, and what to call when the attack has begun."""

    address: str
    token: str
    at_it: Callable[[], None]

    def call(self, more: Iterable[Field] = ()) -> bytes:
        """What begins a call, for this service, on a fresh connection."""
        return HELLO + call(more=[*self.own, *more])

    @property
    def own(self) -> list[Field]:
        return [(b"authorization", b"Bearer " + self.token.encode())]


Attack = Callable[[Victim, int], Awaitable[None]]
"""Attacks with so many of what it uses, until it is cancelled."""

BOMB_BYTES = 256 << 20
OVERSIZE_BYTES = 100 << 20
_AT_ONCE = 100


async def silent(victim: Victim, count: int) -> None:
    """Connections that never speak; each that is closed is opened again."""
    await _connections(victim, count, b"")


async def half_open(victim: Victim, count: int) -> None:
    """Connections that greet as HTTP/2 does, and then never answer anything."""
    await _connections(victim, count, HELLO)


async def bodiless(victim: Victim, count: int) -> None:
    """Calls whose one request never comes, as many as one connection may have on each."""
    streams = range(1, 2 * _AT_ONCE, 2)
    head = headers(more=victim.own)
    calls = b"".join(frame(HEADERS, END_HEADERS, one, head) for one in streams)
    await _connections(victim, -(-count // _AT_ONCE), HELLO + calls)


async def calls(victim: Victim, count: int) -> None:
    """So many short calls at a time, one after the other."""
    async with contextlib.AsyncExitStack() as open_channels:
        channels = [
            await open_channels.enter_async_context(
                grpc.aio.insecure_channel(victim.address, [("grpc.use_local_subchannel_pool", 1)])
            )
            for _ in range(-(-count // _AT_ONCE))
        ]
        victim.at_it()
        await _at_once(count, lambda n: _answered(channels[n % len(channels)], victim.token))


async def bombs(victim: Victim, count: int) -> None:
    """Messages that a compression has made small, and that are huge."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    part = bytes(1 << 20)
    packed = b"".join(packer.compress(part) for _ in range(BOMB_BYTES >> 20)) + packer.flush()
    begin = victim.call([(b"grpc-encoding", b"gzip")])
    await _again(victim, count, begin + message(packed, compressed=True))


async def oversize(victim: Victim, count: int) -> None:
    """Messages that are longer than any may be."""
    await _again(victim, count, victim.call() + message(bytes(OVERSIZE_BYTES)))


async def metadata(victim: Victim, count: int) -> None:
    """Calls with far more metadata than they may have."""
    more = [(b"x-%d" % number, bytes(1000).replace(b"\0", b"x")) for number in range(16)]
    parts = [frame(HEADERS, 0, 1, headers(more=more))]
    parts += [frame(9, 0, 1, headers(more=more)[-16_000:]) for _ in range(64)]
    await _again(victim, count, HELLO + b"".join(parts))


async def resets(victim: Victim, count: int) -> None:
    """Calls that are given up as soon as they are made, as fast as can be written."""
    head, reset = headers(more=victim.own), (8).to_bytes(4, "big")
    streams = range(1, 2 * 1000, 2)
    many = b"".join(
        frame(HEADERS, END_HEADERS, one, head) + frame(RESET, 0, one, reset) for one in streams
    )
    await _again(victim, count, HELLO + many)


async def nameless(victim: Victim, count: int) -> None:
    """Calls of a method whose name is no text, one a second: each has the service listen anew."""
    victim.at_it()
    while True:
        with contextlib.suppress(OSError):
            async with connected(victim.address) as (reader, writer):
                writer.write(HELLO + call(b"/\xff"))
                await reader.read()
        await asyncio.sleep(1)


async def unread(victim: Victim, count: int) -> None:
    """Streams that write as fast as they may, and read nothing."""
    node = execution.NodeManifest(id="n", node_type="PassThrough", params=json.dumps({}))
    manifest = execution.PipelineManifest(version="v1", nodes=[node])
    begin = streaming.StreamRequest(init=streaming.StreamInit(manifest=manifest))
    chunk = streaming.StreamRequest()
    chunk.data_chunk.node_id = "n"
    chunk.data_chunk.buffer.binary.data = bytes(64 << 10)
    async with grpc.aio.insecure_channel(victim.address) as channel:
        method: Any = channel.stream_stream(STREAM_PIPELINE.path)

        async def flood(_: int) -> None:
            call = method(metadata=bearing(victim.token))
            await call.write(begin.SerializeToString())
            for _ in itertools.count():
                await call.write(chunk.SerializeToString())

        victim.at_it()
        await _at_once(count, flood)


ATTACKS: dict[str, tuple[Attack, int]] = {
    "silent connections": (silent, 10_000),
    "half-open connections": (half_open, 5_000),
    "calls without a request": (bodiless, 2_000),
    "a flood of calls": (calls, 500),
    "decompression bombs": (bombs, 4),
    "messages that are too long": (oversize, 4),
    "too much metadata": (metadata, 8),
    "calls given up at once": (resets, 4),
    "methods without a name": (nameless, 1),
    "streams that nobody reads": (unread, 16),
}
"""Each with how many of it there are in a full run."""


async def _connections(victim: Victim, count: int, greeting: bytes) -> None:
    """So many, each from its own address of loopback's network, as ports are few."""
    host, _, port = victim.address.rpartition(":")
    ready = asyncio.Semaphore(0)

    async def keep(number: int) -> None:
        first = True
        while True:
            source = f"127.0.{1 + number // 20_000}.1"
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    host, int(port), local_addr=(source, 0), family=socket.AF_INET
                )
                writer.write(greeting)
                if first:
                    ready.release()
                    first = False
                await reader.read()
                writer.close()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(keep(number))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        for _ in range(count):
            await ready.acquire()
        victim.at_it()


async def _again(victim: Victim, count: int, whole: bytes) -> None:
    """So many connections at a time that write it all, and go when the service has answered."""

    async def attack(_: int) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5), connected(victim.address) as (reader, writer):
                writer.write(whole)
                await reader.read(4096)
                await writer.drain()
                await reader.read(4096)

    victim.at_it()
    await _at_once(count, attack)


async def _at_once(count: int, attack: Callable[[int], Awaitable[None]]) -> None:
    async def go_on(number: int) -> None:
        while True:
            await attack(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(go_on(number))


async def _answered(channel: grpc.aio.Channel, token: str) -> None:
    version: Any = channel.unary_unary(GET_VERSION.path)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await version(b"", metadata=bearing(token))
