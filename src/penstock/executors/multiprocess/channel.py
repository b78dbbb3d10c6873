"""Typed control messages between processes: msgpack in fragments, with descriptors."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from penstock.executors.multiprocess.transport import Port, Reactor

_FRAGMENT = 64 << 10
_MORE, _LAST = b"\x00", b"\x01"
_encoder = msgspec.msgpack.Encoder()
Incoming = TypeVar("Incoming")


def encoded(message: msgspec.Struct) -> bytes:
    """A short message as the one frame that a ``Channel`` at the other end understands."""
    return _LAST + _encoder.encode(message)


class Channel(Port, Generic[Incoming]):
    """Sends control messages of any size and receives those of ``incoming``.

    ``on_message`` gets each message and its descriptors, to keep or close; ``on_end`` is
    called once when the peer is gone or sends what is no message.
    """

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        incoming: Any,
        on_message: Callable[[Incoming, list[int]], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(sock, reactor)
        self._decoder: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(incoming)
        self._on_message = on_message
        self._on_end = on_end
        self._fragments: list[bytes] = []
        self._descriptors: list[int] = []

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Send now or when there is room; the descriptors stay the caller's."""
        data = _encoder.encode(message)
        start = 0
        while len(data) - start > _FRAGMENT:
            self.send_frame(_MORE + data[start : start + _FRAGMENT])
            start += _FRAGMENT
        self.send_frame(_LAST + data[start:], descriptors)

    def on_end(self) -> None:
        self._on_end()

    def on_frame(self, frame: bytes, descriptors: list[int]) -> None:
        self._fragments.append(frame[1:])
        self._descriptors += descriptors
        if frame[:1] == _MORE:
            return
        data, self._fragments = b"".join(self._fragments), []
        held, self._descriptors = self._descriptors, []
        try:
            message = self._decoder.decode(data)
        except msgspec.DecodeError:
            for fd in held:
                os.close(fd)
            self.close()
            self._on_end()
        else:
            self._on_message(message, held)
