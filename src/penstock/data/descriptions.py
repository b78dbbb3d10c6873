"""What is said of a payload, by kind: msgpack on its way, typed, so that rubbish is refused."""

from __future__ import annotations

import msgspec


class Meta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every description ends with: the value's own metadata, None where empty."""

    metadata: dict[str, str] | None


class AudioMeta(Meta, frozen=True, array_like=True, gc=False):
    sample_rate_hz: int
    dtype: str
    channels: int
    metadata_json: bytes | None


class VideoMeta(Meta, frozen=True, array_like=True, gc=False):
    width: int
    height: int
    pixel_format: int
    codec: int
    frame_number: int
    timestamp_us: int
    is_keyframe: bool


class TensorMeta(Meta, frozen=True, array_like=True, gc=False):
    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    layout: str


class TextMeta(Meta, frozen=True, array_like=True, gc=False):
    language: str
    channel: str


class JsonMeta(Meta, frozen=True, array_like=True, gc=False):
    schema_type: str


class BinaryMeta(Meta, frozen=True, array_like=True, gc=False):
    mime_type: str


class ControlMeta(Meta, frozen=True, array_like=True, gc=False):
    message: str
    first: int
    second: int
    segment_id: str
    timestamp_ms: int
    message_metadata: str
