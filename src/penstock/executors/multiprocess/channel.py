"""Typed control messages between processes: msgpack in fragments, with descriptors."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from penstock.executors.multiprocess.transport import Port, Reactor
from penstock.executors.multiprocess.transport.frames import close_all

LARGEST_MESSAGE = 64 << 20
"""Bytes that a message may have, and no more, where a channel says nothing else."""
MOST_DESCRIPTORS = 8
"""That come with one message."""
_FRAGMENT = 64 << 10
_MORE, _LAST = b"\x00", b"\x01"
_encoder = msgspec.msgpack.Encoder()
Incoming = TypeVar("Incoming")


@cache
def decoder(kinds: Any) -> msgspec.msgpack.Decoder[Any]:
    """What decodes messages of some kinds; the first one takes half a millisecond to make."""
    return msgspec.msgpack.Decoder(kinds)


def encoded(message: msgspec.Struct) -> bytes:
    """A short message as the one frame that a ``Channel`` at the other end understands."""
    return _LAST + _encoder.encode(message)


class Channel(Port, Generic[Incoming]):
    """Sends control messages of any size and receives those of ``incoming``.

    ``on_message`` gets each message and its descriptors, to keep or close; ``on_end`` is
    called once when the peer is gone or sends what is no message: then ``fault`` says what was
    wrong with it. A message of more than ``largest`` bytes is none.
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
        self.fault: str | None = None
        self.largest = LARGEST_MESSAGE
        self._decoder: msgspec.msgpack.Decoder[Incoming] = decoder(incoming)
        self._on_message = on_message
        self._on_end = on_end
        self._fragments: list[bytes] = []
        self._gathered = 0
        self._descriptors: list[int] = []

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Send now or when there is room; the descriptors stay the caller's.

        Raises ``ValueError`` for a message that no channel would take.
        """
        data = _encoder.encode(message)
        if len(data) > LARGEST_MESSAGE:
            kind = type(message).__name__
            raise ValueError(f"{kind}: at most {LARGEST_MESSAGE} bytes, got {len(data)}")
        start = 0
        while len(data) - start > _FRAGMENT:
            self.send_frame(_MORE + data[start : start + _FRAGMENT])
            start += _FRAGMENT
        self.send_frame(_LAST + data[start:], descriptors)

    def on_end(self) -> None:
        close_all(self._taken())
        self._on_end()

    def on_frame(self, frame: bytes, descriptors: list[int]) -> None:
        self._fragments.append(frame[1:])
        self._gathered += len(frame) - 1
        self._descriptors += descriptors
        if (fault := self._wrong_with(frame)) is not None:
            self._break(fault)
        elif frame[:1] == _LAST:
            self._deliver(b"".join(self._fragments))

    def close(self) -> None:
        super().close()
        close_all(self._taken())

    def _wrong_with(self, frame: bytes) -> str | None:
        """What a frame, and those it goes on from, can't be part of a message for."""
        if frame[:1] not in (_MORE, _LAST):
            return f"expected a frame that starts with 00 or 01, got {frame[:8].hex(' ')}"
        if self._gathered > self.largest:
            return f"expected a message of at most {self.largest} bytes, got {self._gathered}"
        if len(self._descriptors) > MOST_DESCRIPTORS:
            return (
                f"expected at most {MOST_DESCRIPTORS} descriptors with a message, "
                f"got {len(self._descriptors)}"
            )
        return None

    def _deliver(self, data: bytes) -> None:
        held = self._taken()
        try:
            message = self._decoder.decode(data)
        except msgspec.DecodeError as exc:
            close_all(held)
            self._break(f"expected a message, got {len(data)} bytes that are none: {exc}")
        else:
            self._on_message(message, held)

    def _taken(self) -> list[int]:
        """The descriptors that came; what was gathered of a message is forgotten."""
        held, self._descriptors = self._descriptors, []
        self._fragments.clear()
        self._gathered = 0
        return held

    def _break(self, fault: str) -> None:
        self.fault = fault
        self.close()
        self._on_end()
