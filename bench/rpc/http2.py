"""HTTP/2 by hand: what no gRPC library would send, or at less than a library takes."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterable, Iterator

Field = tuple[bytes, bytes]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
VERSION = b"/remotemedia.v1.PipelineExecutionService/GetVersion"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
HEAD_BYTES = 9


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


ACK = frame(SETTINGS, 1, 0)
"""Confirms the service's settings: its limits hold from then on."""
HELLO = PREFACE + frame(SETTINGS, 0, 0)
"""What a client begins with."""


def headers(path: bytes = VERSION, more: Iterable[Field] = ()) -> bytes:
    """A call's headers, as HPACK literals that nobody remembers."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    return b"".join(
        b"\0" + _number(len(name)) + name + _number(len(value)) + value
        for name, value in (*fields, *more)
    )


def call(path: bytes = VERSION, more: Iterable[Field] = (), stream: int = 1) -> bytes:
    """The frame that begins a call."""
    return frame(HEADERS, END_HEADERS, stream, headers(path, more))


def message(content: bytes, *, compressed: bool = False) -> bytes:
    """The frames of a call's only message on stream 1."""
    framed = struct.pack(">BI", compressed, len(content)) + content
    parts = [framed[at : at + 16_384] for at in range(0, len(framed), 16_384)]
    whole = b"".join(frame(DATA, 0, 1, part) for part in parts)
    return whole + frame(DATA, END_STREAM, 1)


def _number(value: int) -> bytes:
    """An HPACK integer with a prefix of seven bits."""
    if value < 127:
        return bytes([value])
    return b"\x7f" + bytes(_sevens(value - 127))


def _sevens(value: int) -> Iterator[int]:
    while value > 127:
        yield value % 128 + 128
        value //= 128
    yield value


@contextlib.asynccontextmanager
async def connected(
    address: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = address.rpartition(":")
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until(reader: asyncio.StreamReader, kind: int) -> bytes:
    """The payload of the next frame of a kind; raises ``IncompleteReadError`` at the end."""
    while True:
        head = await reader.readexactly(HEAD_BYTES)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == kind:
            return payload
