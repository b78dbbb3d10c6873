"""What the two ends of a lane tell each other over its socket, beside the messages in its ring.

Every frame starts with the version and its type. All integers are little-endian.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from enum import IntEnum

import msgspec

from penstock.data import Kind
from penstock.errors import LaneError

VERSION = 1


class FrameType(IntEnum):
    """The first four go with the messages, the others against them."""

    RING = 1
    SLAB = 2
    RETIRE = 3
    END = 4
    CREDIT = 5
    RELEASE = 6
    FINAL = 7
    RECLAIM = 8


_ONE = struct.Struct("<BBI")
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


def frame_type(frame: bytes, lane: str) -> int:
    """The type of a frame; raises ``LaneError`` for another version or none."""
    if len(frame) < 2 or frame[0] != VERSION:
        raise LaneError(lane, f"expected a frame of version {VERSION}, got {frame[:2].hex()!r}")
    return frame[1]


def number_frame(kind: FrameType, number: int = 0) -> bytes:
    """A frame that says one number: SLAB and RETIRE (its ID), or nothing (the others)."""
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


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors that came with a frame, or were to go with one, and that nobody wants."""
    for fd in descriptors:
        os.close(fd)
