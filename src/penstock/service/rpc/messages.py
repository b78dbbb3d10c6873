"""Messages as they lie in a stream's data: a flag, a length, and so many bytes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import grpc

PREFIX_BYTES = 5
_CRUMB_BYTES = 1 << 10
_PREFIX = struct.Struct(">BI")
_WBITS = {"gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class Packed:
    """A message as it came, which is compressed: ``expanded`` may take a while."""

    data: bytes
    encoding: str
    most: int

    def __len__(self) -> int:
        return len(self.data)

    def expanded(self) -> bytes:
        """The message; raises ``TooLargeError`` past ``most`` bytes, ``MalformedError``."""
        unpacker = zlib.decompressobj(wbits=_WBITS[self.encoding])
        try:
            whole = unpacker.decompress(self.data, self.most + 1)
        except zlib.error as exc:
            raise MalformedError(f"a message is no {self.encoding}: {exc}") from exc
        if len(whole) > self.most:
            found = f"over {self.most} expanded vs. {self.most}"
            raise TooLargeError(f"Received message larger than max ({found})")
        if not unpacker.eof or unpacker.unused_data:
            raise MalformedError(f"a message is no whole {self.encoding}")
        return whole


class BadMessageError(Exception):
    """A message that can't be taken; those that were whole ``before`` it can."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    before: tuple[bytes | Packed, ...] = ()


class TooLargeError(BadMessageError):
    """A message that is longer than may be."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class MalformedError(BadMessageError):
    """Data that is no message."""


class Assembly:
    """Puts messages together from what comes, none of more than ``most`` bytes.

    A ``Flow`` takes those that come whole, and uncompressed, as they are. ``encoding`` is what the
    others are compressed by. Of the message that has begun ``begun_bytes`` are here, and
    ``missing`` have yet to come.
    """

    def __init__(self, most: int, encoding: str) -> None:
        self.missing = 0
        self.begun_bytes = 0
        self.most = most
        self._encoding = encoding
        self._compressed = False
        self._parts: list[bytes] = []
        self._crumbs = bytearray()
        self._head = b""

    @property
    def has_begun(self) -> bool:
        """Whether there is part of a message."""
        return bool(self.missing or self._head)

    def clear(self) -> None:
        """Let go of the message that has begun."""
        self.missing = self.begun_bytes = 0
        self._parts.clear()
        self._crumbs.clear()
        self._head = b""

    def add(self, data: bytes) -> list[bytes | Packed]:
        """The messages that are whole with it; raises ``TooLargeError``, ``MalformedError``."""
        messages: list[bytes | Packed] = []
        try:
            self._add(data, messages)
        except BadMessageError as exc:
            exc.before = tuple(messages)
            raise
        return messages

    def _add(self, data: bytes, messages: list[bytes | Packed]) -> None:
        at = 0
        while True:
            if self.missing:
                part = data[at : at + self.missing]
                at += len(part)
                self.missing -= len(part)
                self._keep(part)
                if self.missing:
                    return
                messages.append(self._whole())
            needed = PREFIX_BYTES - len(self._head)
            self._head += data[at : at + needed]
            if len(self._head) < PREFIX_BYTES:
                return
            at += needed
            self._begin()
            if not self.missing:
                messages.append(self._whole())

    def _begin(self) -> None:
        flag, self.missing = _PREFIX.unpack(self._head)
        self._head = b""
        self._compressed = bool(flag)
        if flag > 1:
            raise MalformedError(f"a message begins with 0 or 1, got {flag}")
        if flag and self._encoding == "identity":
            raise MalformedError("a message is compressed, and no grpc-encoding says how")
        if self.missing > self.most:
            found = f"{self.missing} vs. {self.most}"
            raise TooLargeError(f"Received message larger than max ({found})")

    def _keep(self, part: bytes) -> None:
        """A part for itself takes more than its bytes, so small ones are kept together."""
        self.begun_bytes += len(part)
        if len(part) < _CRUMB_BYTES:
            self._crumbs += part
            return
        if self._crumbs:
            self._parts.append(bytes(self._crumbs))
            self._crumbs.clear()
        self._parts.append(part)

    def _whole(self) -> bytes | Packed:
        whole = b"".join((*self._parts, self._crumbs))
        self._parts.clear()
        self._crumbs.clear()
        self.begun_bytes = 0
        return Packed(whole, self._encoding, self.most) if self._compressed else whole


def compressed(message: bytes, encoding: str) -> bytes:
    """A message as ``gzip`` or ``deflate`` has it."""
    packer = zlib.compressobj(wbits=_WBITS[encoding])
    return packer.compress(message) + packer.flush()
