"""An HTTP/2 connection with many gRPC calls, by hand, at a tenth of what a gRPC client takes."""

from __future__ import annotations

import functools
import select
import socket
import struct
from collections import defaultdict, deque
from collections.abc import Iterator
from time import perf_counter

from bench.rpc.http2 import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEAD_BYTES,
    HEADERS,
    PING,
    PREFACE,
    RESET,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    frame,
)

_DEFAULT_WINDOW = 65_535
_MOST_WINDOW = (1 << 31) - 1
"""What the server may send of a stream, and of all: more than any run has, so it is told once."""
_INITIAL_WINDOW_SIZE = 4
_READ_BYTES = 1 << 18
_PREFIX = struct.Struct(">BI")
_HEAD = struct.Struct(">HBBBI")
_HELLO = (
    PREFACE
    + frame(SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, _MOST_WINDOW))
    + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", _MOST_WINDOW - _DEFAULT_WINDOW))
)

Message = tuple[int, bytes]
"""A stream's number, and what came on it."""


class Connection:
    """Calls on one connection, for a single thread that looks when it wants to.

    It keeps to the server's windows: what they have no room for waits its turn. Raises
    ``ConnectionError`` where the server ends a call, or the connection.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._calls = 0
        self._unsent = bytearray(_HELLO)
        self._unread = b""
        self._parts: dict[int, bytes] = {}
        self._window = _DEFAULT_WINDOW
        self._initial_window = _DEFAULT_WINDOW
        self._used: defaultdict[int, int] = defaultdict(int)
        self._held: deque[Message] = deque()

    def close(self) -> None:
        self._socket.close()

    def call(self, path: str) -> int:
        """Begin a call, and say the number of its stream."""
        stream = 2 * self._calls + 1
        self._calls += 1
        self._unsent += call(path.encode(), stream=stream)
        return stream

    def send(self, stream: int, message: bytes) -> None:
        """One message of at most 16 KiB, uncompressed."""
        self._held.append((stream, _framed(stream, message)))
        self._let_go()

    def receive(self, until: float) -> list[Message]:
        """What has come, or comes first until then (by ``perf_counter``); sends meanwhile."""
        self._write()
        wait_s = max(until - perf_counter(), 0.0)
        unsent = [self._socket] if self._unsent else []
        readable, _, _ = select.select([self._socket], unsent, [], wait_s)
        if not readable:
            return []
        read = self._socket.recv(_READ_BYTES)
        if not read:
            raise ConnectionError("the server has closed the connection")
        return list(self._take(self._unread + read))

    def _write(self) -> None:
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            del self._unsent[:sent]

    def _let_go(self) -> None:
        """Send what is held as far as the windows reach, in order."""
        while self._held:
            stream, framed = self._held[0]
            size = len(framed) - HEAD_BYTES
            if size > self._window or size > self._initial_window - self._used[stream]:
                return
            self._window -= size
            self._used[stream] += size
            self._unsent += framed
            self._held.popleft()

    def _take(self, read: bytes) -> Iterator[Message]:
        at, nbytes = 0, len(read)
        while at + HEAD_BYTES <= nbytes:
            high, low, kind, flags, stream = _HEAD.unpack_from(read, at)
            end = at + HEAD_BYTES + (high << 8 | low)
            if end > nbytes:
                break
            payload = read[at + HEAD_BYTES : end]
            at = end
            if kind == DATA:
                yield from self._messages(stream, payload)
            else:
                self._heed(kind, flags, stream, payload)
        self._unread = read[at:]

    def _messages(self, stream: int, payload: bytes) -> Iterator[Message]:
        whole = self._parts.pop(stream) + payload if stream in self._parts else payload
        while len(whole) >= _PREFIX.size:
            _, size = _PREFIX.unpack_from(whole)
            end = _PREFIX.size + size
            if end > len(whole):
                break
            yield stream, whole[_PREFIX.size : end]
            whole = whole[end:]
        if whole:
            self._parts[stream] = whole

    def _heed(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (RESET, GOAWAY) or (kind == HEADERS and flags & END_STREAM):
            raise ConnectionError(f"the server has ended stream {stream} (frame of kind {kind})")
        if kind == WINDOW_UPDATE:
            self._widen(stream, int.from_bytes(payload, "big"))
        elif kind == PING and not flags:
            self._unsent += frame(PING, 1, 0, payload)
        elif kind == SETTINGS and not flags:
            for setting, value in struct.iter_unpack(">HI", payload):
                if setting == _INITIAL_WINDOW_SIZE:
                    self._initial_window = value
            self._unsent += ACK
            self._let_go()

    def _widen(self, stream: int, by: int) -> None:
        if stream:
            self._used[stream] -= by
        else:
            self._window += by
        self._let_go()


@functools.lru_cache(1024)
def _framed(stream: int, message: bytes) -> bytes:
    """A stream says the same again and again."""
    return frame(DATA, 0, stream, _PREFIX.pack(0, len(message)) + message)
