"""HTTP/2 frames, as far as a chunk of a stream passes through them (RFC 9113, section 4.1)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

DATA = 0x0
HEADERS = 0x1
SETTINGS = 0x4
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9
ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HEAD_BYTES = 9
MAX_PAYLOAD_BYTES = 1 << 14
"""The largest payload that everybody takes."""
DEFAULT_WINDOW = (1 << 16) - 1
MAX_WINDOW = (1 << 31) - 1
_STREAM = 0x7FFF_FFFF
_HEAD = struct.Struct(">BHBBI")
_SETTING = struct.Struct(">HI")
_ANY = (0, (1 << 32) - 1)
_RANGES = {2: (0, 1), 4: (0, MAX_WINDOW), 5: (MAX_PAYLOAD_BYTES, (1 << 24) - 1)}
_KNOWN_SETTINGS = frozenset(code.to_bytes(2, "big") for code in range(1, 7))
_GOAWAY = struct.Struct(">II")
_UPDATE = struct.Struct(">BHBBII")


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The head of a frame with so many bytes after it."""
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream)


def parse_head(data: bytes, at: int) -> tuple[int, int, int, int]:
    """The size, kind, flags and stream that a head says which begins there."""
    high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
    return high << 16 | low, kind, flags, stream & _STREAM


def window_update(stream: int, by: int) -> bytes:
    """Let the other end send so many more bytes on a stream, or (0) on all together."""
    return _UPDATE.pack(0, 4, WINDOW_UPDATE, 0, stream, by)


def settings(values: Mapping[int, int]) -> bytes:
    """Tell the other end of them."""
    said = b"".join(_SETTING.pack(*pair) for pair in values.items())
    return head(len(said), SETTINGS, 0, 0) + said


ACKNOWLEDGED = head(0, SETTINGS, ACK, 0)
"""The other end's settings hold from here on."""


def are_settings(payload: bytes) -> bool:
    """Whether they are as long as settings, and have values that they may (section 6.5.2)."""
    return not len(payload) % _SETTING.size and all(
        low <= value <= high
        for code, value in _SETTING.iter_unpack(payload)
        for low, high in [_RANGES.get(code, _ANY)]
    )


def known_settings(payload: bytes) -> bytes:
    """Those of a frame that mean anything: of all others an engine would remember each."""
    if len(payload) % _SETTING.size:
        return payload  # which is none
    each = range(0, len(payload), _SETTING.size)
    return b"".join(
        payload[at : at + _SETTING.size] for at in each if payload[at : at + 2] in _KNOWN_SETTINGS
    )


def ping() -> bytes:
    """Ask the other end whether it is there."""
    return head(8, PING, 0, 0) + b"penstock"


def goaway(last: int, code: int, why: bytes = b"") -> bytes:
    """Tell the other end that no call after the ``last`` is heeded any more."""
    return head(8 + len(why), GOAWAY, 0, 0) + _GOAWAY.pack(last, code) + why


def headers_frame(stream: int, block: bytes, *, end: bool) -> bytes:
    """Headers that are written already, short enough for a frame; whether they end the stream."""
    return head(len(block), HEADERS, END_HEADERS | (END_STREAM if end else 0), stream) + block


def unpadded(payload: bytes) -> bytes | None:
    """The data of a frame with padding; None where that is longer than the frame."""
    padding = payload[0] if payload else 0
    if padding >= len(payload):
        return None
    return payload[1 : len(payload) - padding]
