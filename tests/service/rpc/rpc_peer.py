"""A server with small methods, and a client of it that speaks HTTP/2 by hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from hpack import Decoder

from bench.rpc.http2 import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEAD_BYTES,
    HEADERS,
    HELLO,
    RESET,
    SETTINGS,
    WINDOW_UPDATE,
    Field,
    call,
    frame,
)
from penstock.manifest import ConnectionSettings
from penstock.service.rpc import Call, Server

MIB = 1 << 20
SOON_S = 10.0
"""What is expected comes within it, on a machine that has much else to do as well."""
Method = Callable[[Call], Awaitable[Any]]


async def echo(call: Call) -> None:
    while (message := await call.read()) is not grpc.aio.EOF:
        await call.write(message)


async def join(call: Call) -> bytes:
    parts = []
    while (message := await call.read()) is not grpc.aio.EOF:
        parts.append(message)
    return b"".join(parts)


class Stuck:
    """A method that reads one message and then waits; it tells when it begins and how it ends."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        self.begun.set()
        try:
            await call.read()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def _handler(methods: Mapping[str, Method]) -> grpc.GenericRpcHandler:
    def streaming(method: Method) -> Any:
        async def serve(_: Any, call: Call) -> None:
            await method(call)

        return grpc.stream_stream_rpc_method_handler(serve, None, bytes)

    async def serve_join(_: Any, call: Call) -> bytes:
        return await join(call)

    found = {name: streaming(method) for name, method in ({"Echo": echo} | methods).items()}
    found["Join"] = grpc.stream_unary_rpc_method_handler(serve_join, None, bytes)
    return grpc.method_handlers_generic_handler("t", found)


@dataclass
class Served:
    """A server that listens, and all that the loop has complained of meanwhile."""

    server: Server
    port: int
    complaints: list[dict[str, Any]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def client(
        self, hello: bytes = HELLO + ACK, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        try:
            writer.write(hello)
            yield Peer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def serves(self) -> bool:
        """Whether others are served."""
        async with self.client() as peer:
            peer.send(begin(1, "Echo"), data(1, framed(b"x"), end=True))
            return (await peer.ended(1)).messages() == [b"x"]


@contextlib.asynccontextmanager
async def serving(
    methods: Mapping[str, Method] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    compression: str = "none",
    **limits: Any,
) -> AsyncIterator[Served]:
    """One that takes messages of at most 1 MiB, by ``Echo``, ``Join`` and more methods."""
    server = Server(
        [_handler(methods or {})],
        [],
        connections=ConnectionSettings(**limits),
        most_bytes=MIB,
        compression=compression,
        make_room=lambda _: None,
        refuse=lambda call: call.finish(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many"),
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    served = Served(server, listener.getsockname()[1])
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: served.complaints.append(context))
    server.listen([listener], None if tls is None else lambda: tls)
    try:
        async with asyncio.timeout(2 * SOON_S):
            yield served
    finally:
        await server.stop(0)
        await asyncio.sleep(0)
    assert not served.complaints


@dataclass
class Answer:
    """What has come on a stream."""

    data: bytes = b""
    headers: list[dict[bytes, bytes]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    def messages(self) -> list[bytes]:
        """The whole ones."""
        found, at = [], 0
        while len(self.data) >= at + 5:
            _, size = struct.unpack_from(">BI", self.data, at)
            if len(self.data) < at + 5 + size:
                break
            found.append(self.data[at + 5 : at + 5 + size])
            at += 5 + size
        return found

    @property
    def status(self) -> int | None:
        said = self.headers[-1].get(b"grpc-status") if self.headers else None
        return None if said is None else int(said)

    @property
    def message(self) -> bytes:
        return self.headers[-1].get(b"grpc-message", b"")


class Peer:
    """A client; it takes whatever comes, and lets nothing more come unless it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.streams: dict[int, Answer] = defaultdict(Answer)
        self.kinds: list[int] = []
        self.granted: dict[int, int] = defaultdict(int)
        self.goaways: list[int] = []
        self._decoder = Decoder()

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def take(self) -> None:
        """The next frame; raises ``IncompleteReadError`` and ``ConnectionError`` at the end."""
        head = await self.reader.readexactly(HEAD_BYTES)
        payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        self.kinds.append(kind)
        match kind:
            case 0:
                self.streams[stream].data += payload
            case 1:
                said = self._decoder.decode(payload, raw=True)
                self.streams[stream].headers.append(dict(said))
            case 3:
                self.streams[stream].reset = int.from_bytes(payload, "big")
            case 7:
                self.goaways.append(int.from_bytes(payload[4:8], "big"))
            case 8:
                self.granted[stream] += int.from_bytes(payload, "big")
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.streams[stream].ended = True

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(SOON_S):
            while not holds():
                await self.take()

    async def ended(self, stream: int) -> Answer:
        """What has come on a stream, once it is at its end."""
        answer = self.streams[stream]
        await self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    async def closed(self) -> None:
        """Take all that comes before the connection's end."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(SOON_S):
                while True:
                    await self.take()

    async def answered(self) -> None:
        """All that was sent has been looked at: a ping behind it is answered."""
        before = self.kinds.count(6)
        self.send(frame(6, 0, 0, bytes(8)))
        await self.until(lambda: self.kinds.count(6) > before)


def begin(stream: int, method: str, *more: Field) -> bytes:
    return call(f"/t/{method}".encode(), more, stream)


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    """Frames of data, each as large as may be."""
    parts = [payload[at : at + 16_384] for at in range(0, len(payload), 16_384)] or [b""]
    last = parts.pop()
    return b"".join(frame(DATA, 0, stream, part) for part in parts) + frame(
        DATA, END_STREAM if end else 0, stream, last
    )


def widen(stream: int, by: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, by.to_bytes(4, "big"))


def window(size: int) -> bytes:
    """The setting that a call's window begins at so much."""
    return frame(SETTINGS, 0, 0, struct.pack(">HI", 4, size))


def reset(stream: int) -> bytes:
    return frame(RESET, 0, stream, (8).to_bytes(4, "big"))


def goaway() -> bytes:
    return frame(GOAWAY, 0, 0, bytes(8))
