"""A non-blocking ``SOCK_SEQPACKET`` socket with an outbox, on a reactor."""

from __future__ import annotations

import array
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence

from penstock.bridges import no_listener
from penstock.executors.multiprocess.transport.reactor import Reactor

MAX_FRAME = 128 << 10
"""Bytes of a datagram at most; below the kernel's default send buffer."""
_MAX_DESCRIPTORS = 8
_ANCILLARY = socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, closed on exec; ``Port`` makes them non-blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Port:
    """Sends and receives frames; no call ever blocks.

    ``on_frame`` gets each datagram and the descriptors that came with it (to keep or close),
    ``on_end`` is called once when the peer is gone, after everything it sent was handed on.
    """

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        on_frame: Callable[[bytes, list[int]], None],
        on_end: Callable[[], None],
        *,
        frame_bytes: int = MAX_FRAME,
    ) -> None:
        sock.setblocking(False)
        self.on_drained = no_listener
        self._sock = sock
        self._reactor = reactor
        self._on_frame = on_frame
        self._on_end = on_end
        self._frame_bytes = frame_bytes
        self._outbox: deque[tuple[bytes, Sequence[int]]] = deque()
        self._gone = False
        reactor.register(sock.fileno(), self._ready)

    @property
    def waiting(self) -> int:
        """Frames that the socket had no room for."""
        return len(self._outbox)

    def send(self, frame: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send the frame, now or when there is room; the descriptors stay the caller's."""
        if self._gone:
            return
        if self._outbox or not self._sent(frame, descriptors):
            held = [os.dup(fd) for fd in descriptors]
            self._outbox.append((frame, held))
            if len(self._outbox) == 1:
                self._reactor.watch_writable(self._sock.fileno(), wanted=True)

    def drain(self) -> None:
        """Hand on everything that has arrived, without waiting for the reactor."""
        while self._read():
            pass

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._reactor.unregister(self._sock.fileno())
            self._sock.close()
        self._gone = True
        self._drop_outbox()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT:
            self._read()

    def _read(self) -> bool:
        """Hand on one datagram; whether there was one.

        The reactor comes back while there are more: asking whether there is another costs
        more than being told.
        """
        if self._gone:
            return False
        try:
            frame, ancillary, _, _ = self._sock.recvmsg(self._frame_bytes, _ANCILLARY)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True  # the peer left something unread; what it sent is still queued
        if not frame:
            self._end()
            return False
        self._on_frame(frame, _descriptors(ancillary) if ancillary else [])
        return True

    def _flush(self) -> None:
        while self._outbox and self._sent(*self._outbox[0]):
            _, descriptors = self._outbox.popleft()
            _close_all(descriptors)
        if not self._outbox and not self._gone:
            self._reactor.watch_writable(self._sock.fileno(), wanted=False)
            self.on_drained()

    def _sent(self, frame: bytes, descriptors: Sequence[int]) -> bool:
        try:
            if descriptors:
                socket.send_fds(self._sock, [frame], list(descriptors))
            else:
                self._sock.send(frame)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            return True  # nobody will read it; reading on tells why
        return True

    def _end(self) -> None:
        self._gone = True
        self._reactor.unregister(self._sock.fileno())
        self._drop_outbox()
        self._on_end()

    def _drop_outbox(self) -> None:
        while self._outbox:
            _close_all(self._outbox.popleft()[1])


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    received = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    return list(received)


def _close_all(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)
