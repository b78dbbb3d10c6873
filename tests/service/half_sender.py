"""A client by hand that announces a long message, and sends a part of it as it may."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterable

from bench.rpc.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    HEAD_BYTES,
    HEADERS,
    HELLO,
    PING,
    RESET,
    SETTINGS,
    Field,
    connected,
    frame,
    headers,
)

WINDOW_UPDATE = 8
_INITIAL_WINDOW = 4
_FIRST_WINDOW = 65_535
_PART = 16_384


class HalfSender:
    """One call on a connection of its own; ``answer`` has the frames that came before its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sent = 0
        self.answer = b""
        self._reader = reader
        self._writer = writer
        self._window = self._connection = self._initial = _FIRST_WINDOW
        self._wider = asyncio.Event()

    async def send(self, path: bytes, announced: int, sent: int, more: Iterable[Field]) -> None:
        """Send so many bytes of a message that is announced as longer, within the windows."""
        first = struct.pack(">BI", 0, announced)
        self._writer.write(frame(HEADERS, END_HEADERS, 1, headers(path, more)))
        self._writer.write(frame(DATA, 0, 1, first))
        self._window -= len(first)
        self._connection -= len(first)
        while self.sent < sent:
            part = min(self._window, self._connection, _PART, sent - self.sent)
            if part <= 0:
                self._wider.clear()
                await self._wider.wait()
                continue
            self._writer.write(frame(DATA, 0, 1, bytes(part)))
            await self._writer.drain()
            self.sent += part
            self._window -= part
            self._connection -= part

    async def hear(self) -> bytes:
        """Heed what the service says, to the end of the call; gives its messages and trailers."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await self._reader.readexactly(HEAD_BYTES)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                stream = int.from_bytes(head[5:], "big")
                if head[3] == WINDOW_UPDATE:
                    self._widen(stream, int.from_bytes(payload, "big"))
                elif head[3] == SETTINGS and not head[4]:
                    self._set(dict(struct.iter_unpack(">HI", payload)))
                elif head[3] == PING and not head[4]:
                    self._writer.write(frame(PING, 1, 0, payload))
                elif head[3] in (HEADERS, DATA):
                    self.answer += payload
                    if b"grpc-status" in payload:
                        break
                elif head[3] == RESET:
                    break
        return self.answer

    def _widen(self, stream: int, more: int) -> None:
        if stream:
            self._window += more
        else:
            self._connection += more
        self._wider.set()

    def _set(self, settings: dict[int, int]) -> None:
        if _INITIAL_WINDOW in settings:
            self._window += settings[_INITIAL_WINDOW] - self._initial
            self._initial = settings[_INITIAL_WINDOW]
        self._writer.write(ACK)
        self._wider.set()


@contextlib.asynccontextmanager
async def half_sending(
    address: str, path: bytes, announced: int, sent: int, more: Iterable[Field] = ()
) -> AsyncIterator[tuple[HalfSender, asyncio.Task[bytes]]]:
    """A sender, and what it hears, while it sends."""
    async with connected(address) as (reader, writer):
        writer.write(HELLO)
        sender = HalfSender(reader, writer)
        hearing = asyncio.create_task(sender.hear())
        sending = asyncio.create_task(sender.send(path, announced, sent, more))
        try:
            yield sender, hearing
        finally:
            for task in (hearing, sending):
                task.cancel()
            await asyncio.gather(hearing, sending, return_exceptions=True)
