"""The frames on a lane: the envelope of a message, and what the two ends tell each other.

All integers are little-endian. Every frame starts with the version and its type.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

import msgspec

from penstock.data import Kind
from penstock.errors import LaneError

VERSION = 1


class FrameType(IntEnum):
    """The first four go with the data, the others against it."""

    DATA = 1
    SLAB = 2
    RETIRE = 3
    END = 4
    CREDIT = 5
    RELEASE = 6
    FINAL = 7
    RECLAIM = 8


DATA_START = bytes((VERSION, FrameType.DATA))
"""How the frame of a message begins."""


class Flags(IntEnum):
    """Bits of an envelope."""

    INLINE = 1
    """The payload follows the description in the datagram."""
    CHECKED = 2
    """``checksum`` holds the CRC-32 of the payload."""
    META_IN_SLAB = 4
    """The description lies in a slot; a ``Location`` stands in its place."""


class Envelope(NamedTuple):
    """The fixed part of a message's frame; see ``penstock.data.Message`` for the fields.

    ``slab_id``, ``offset`` and ``length`` say where the payload lies, in bytes.
    """

    version: int
    frame: int
    kind: int
    flags: int
    meta_bytes: int
    epoch: int
    part: int
    lane_sequence: int
    sequence: int
    timestamp_us: int
    slab_id: int
    offset: int
    length: int
    checksum: int


_ENVELOPE = struct.Struct("<BBBBHxxIIQQqIxxxxQQI")
_ONE = struct.Struct("<BBQ")
_LOCATION = struct.Struct("<IQQ")
_RELEASES = struct.Struct("<BBH")
ENVELOPE_BYTES = _ENVELOPE.size
MAX_RELEASES = 512
LANE_FRAME_BYTES = 8192
"""No frame on a lane is longer."""
KINDS = tuple(Kind)
KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_encoder = msgspec.msgpack.Encoder()


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """One end's count at the end of the stream: messages, and drops by reason."""

    messages: int
    dropped: dict[str, int]


_tally = msgspec.msgpack.Decoder(Tally)
pack_envelope = _ENVELOPE.pack


def unpack_envelope(frame: bytes, lane: str) -> Envelope:
    """The envelope at the start of a frame; raises ``LaneError`` for what is none."""
    if len(frame) < ENVELOPE_BYTES:
        raise LaneError(lane, f"an envelope has {ENVELOPE_BYTES} bytes, got {len(frame)}")
    envelope = Envelope._make(_ENVELOPE.unpack_from(frame))
    if envelope.kind >= len(KINDS):
        raise LaneError(lane, f"unknown kind of data {envelope.kind}")
    inline = envelope.length if envelope.flags & Flags.INLINE else 0
    expected = ENVELOPE_BYTES + envelope.meta_bytes + inline
    if len(frame) != expected:
        raise LaneError(lane, f"a frame of {expected} bytes was announced, got {len(frame)}")
    return envelope


def frame_type(frame: bytes, lane: str) -> int:
    """The type of a frame; raises ``LaneError`` for another version or none."""
    if len(frame) < 2 or frame[0] != VERSION:
        raise LaneError(lane, f"expected a frame of version {VERSION}, got {frame[:2].hex()!r}")
    return frame[1]


def number_frame(kind: FrameType, number: int = 0) -> bytes:
    """A frame that says one number: CREDIT (taken so far), SLAB and RETIRE (its ID)."""
    return _ONE.pack(VERSION, kind, number)


def number_of(frame: bytes, lane: str) -> int:
    if len(frame) != _ONE.size:
        raise LaneError(lane, f"expected {_ONE.size} bytes, got {len(frame)}")
    number: int = _ONE.unpack(frame)[2]
    return number


def tally_frame(kind: FrameType, tally: Tally) -> bytes:
    """END (sent, and dropped before sending) or FINAL (taken, and dropped on arrival)."""
    return bytes((VERSION, kind)) + _encoder.encode(tally)


def tally_of(frame: bytes, lane: str) -> Tally:
    try:
        return _tally.decode(frame[2:])
    except msgspec.DecodeError as exc:
        raise LaneError(lane, f"an unreadable count: {exc}") from exc


def release_frame(lane_sequences: list[int]) -> bytes:
    """RELEASE: the payloads of these messages are no longer looked at."""
    count = len(lane_sequences)
    head = _RELEASES.pack(VERSION, FrameType.RELEASE, count)
    return head + struct.pack(f"<{count}Q", *lane_sequences)


def released(frame: bytes, lane: str) -> tuple[int, ...]:
    count = (len(frame) - _RELEASES.size) // 8
    if len(frame) != _RELEASES.size + 8 * count or _RELEASES.unpack_from(frame)[2] != count:
        raise LaneError(lane, "a release of another length than it says")
    return struct.unpack_from(f"<{count}Q", frame, _RELEASES.size)


def location(slab_id: int, offset: int, length: int) -> bytes:
    return _LOCATION.pack(slab_id, offset, length)


def located(data: bytes, lane: str) -> tuple[int, int, int]:
    if len(data) != _LOCATION.size:
        raise LaneError(lane, f"a location has {_LOCATION.size} bytes, got {len(data)}")
    slab_id, offset, length = _LOCATION.unpack(data)
    return slab_id, offset, length
