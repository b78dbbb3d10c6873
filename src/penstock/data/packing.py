"""Values as a payload and a small description, and back.

The payload is what may lie in shared memory: samples, pixels, elements, text. The
description is msgpack, typed by kind, so that rubbish is refused and nothing is pickled.
``unpack`` never copies a payload: its arrays are views on the one that it is given.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.data.values import (
    NO_METADATA,
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    Json,
    Kind,
    PixelFormat,
    Tensor,
    Text,
    Value,
    Video,
    VideoCodec,
)

NO_PAYLOAD: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
_encoder = msgspec.msgpack.Encoder()


class _Meta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every description ends with: the value's own metadata, None where empty."""

    metadata: dict[str, str] | None


class _AudioMeta(_Meta, frozen=True, array_like=True, gc=False):
    sample_rate_hz: int
    dtype: str
    channels: int
    metadata_json: bytes | None


class _VideoMeta(_Meta, frozen=True, array_like=True, gc=False):
    width: int
    height: int
    pixel_format: int
    codec: int
    frame_number: int
    timestamp_us: int
    is_keyframe: bool


class _TensorMeta(_Meta, frozen=True, array_like=True, gc=False):
    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    layout: str


class _TextMeta(_Meta, frozen=True, array_like=True, gc=False):
    language: str
    channel: str


class _JsonMeta(_Meta, frozen=True, array_like=True, gc=False):
    schema_type: str


class _BinaryMeta(_Meta, frozen=True, array_like=True, gc=False):
    mime_type: str


class _ControlMeta(_Meta, frozen=True, array_like=True, gc=False):
    message: str
    first: int
    second: int
    segment_id: str
    timestamp_ms: int
    message_metadata: str


class Packed(NamedTuple):
    """A value taken apart: its kind, its description, and its payload as flat bytes.

    ``payload`` is one-dimensional uint8 and a view on the value's own memory wherever that
    is contiguous; ``copied`` says that it was not.
    """

    kind: Kind
    meta: bytes
    payload: NDArray[np.uint8]
    copied: bool = False


def pack(value: Value) -> Packed:
    """Take a value apart without copying it.

    Raises ``TypeError`` for what is no value, and ``ValueError`` for JSON that can't be
    written as JSON (NaN, infinities, foreign objects) or text with lone surrogates.
    """
    packer = _PACKERS.get(type(value))
    if packer is None:
        known = ", ".join(kind.__name__ for kind in _PACKERS)
        raise TypeError(f"expected one of {known}, got {type(value).__name__}")
    return packer(value)


def unpack(kind: Kind, meta: bytes, payload: NDArray[np.uint8]) -> Value:
    """Put a value together again, as views on ``payload`` (one-dimensional uint8).

    Raises ``ValueError`` for a description or a payload that don't fit each other.
    """
    return _UNPACKERS[kind](meta, payload)


def _metadata(value: Value) -> dict[str, str] | None:
    return dict(value.metadata) if value.metadata else None


def _restored(meta: _Meta) -> Mapping[str, str]:
    return meta.metadata or NO_METADATA


def _flat(array: NDArray[Any], order: str) -> tuple[NDArray[np.uint8], bool]:
    """The array's bytes in the given order, and whether that took a copy."""
    flags = array.flags
    contiguous = flags.f_contiguous if order == "F" else flags.c_contiguous
    if not contiguous:
        array = np.ascontiguousarray(array)
    return array.reshape(-1, order="F" if order == "F" else "C").view(np.uint8), not contiguous


def _pack_audio(value: Audio) -> Packed:
    samples = value.samples
    payload, copied = _flat(samples, "C")
    form = (value.sample_rate_hz, samples.dtype.str, samples.shape[1])
    if value.metadata or value.metadata_json is not None:
        meta = _audio_description(*form, _metadata(value), value.metadata_json)
    else:
        meta = _plain_audio_description(*form)
    return Packed(Kind.AUDIO, meta, payload, copied)


def _audio_description(
    sample_rate_hz: int,
    dtype: str,
    channels: int,
    metadata: dict[str, str] | None = None,
    metadata_json: bytes | None = None,
) -> bytes:
    return _encoder.encode(
        _AudioMeta(
            metadata=metadata,
            sample_rate_hz=sample_rate_hz,
            dtype=dtype,
            channels=channels,
            metadata_json=metadata_json,
        )
    )


_plain_audio_description = functools.lru_cache(64)(_audio_description)
"""A stream says the same of every chunk."""


def _pack_video(value: Video) -> Packed:
    payload, copied = _flat(value.pixels, "C")
    meta = _VideoMeta(
        metadata=_metadata(value),
        width=value.width,
        height=value.height,
        pixel_format=int(value.pixel_format),
        codec=int(value.codec),
        frame_number=value.frame_number,
        timestamp_us=value.timestamp_us,
        is_keyframe=value.is_keyframe,
    )
    return Packed(Kind.VIDEO, _encoder.encode(meta), payload, copied)


def _pack_tensor(value: Tensor) -> Packed:
    array = value.array
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    payload, copied = _flat(array, "F" if fortran else "C")
    meta = _TensorMeta(
        metadata=_metadata(value),
        dtype=array.dtype.str,
        shape=array.shape,
        fortran=fortran,
        layout=value.layout,
    )
    return Packed(Kind.TENSOR, _encoder.encode(meta), payload, copied)


def _pack_text(value: Text) -> Packed:
    meta = _TextMeta(metadata=_metadata(value), language=value.language, channel=value.channel)
    payload = np.frombuffer(value.text.encode(), dtype=np.uint8)
    return Packed(Kind.TEXT, _encoder.encode(meta), payload)


def _pack_json(value: Json) -> Packed:
    meta = _JsonMeta(metadata=_metadata(value), schema_type=value.schema_type)
    try:
        text = json.dumps(value.value, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as exc:
        raise ValueError(f"not JSON: {exc}") from exc
    return Packed(Kind.JSON, _encoder.encode(meta), np.frombuffer(text.encode(), dtype=np.uint8))


def _pack_binary(value: Binary) -> Packed:
    payload, copied = _flat(value.data, "C")
    meta = _BinaryMeta(metadata=_metadata(value), mime_type=value.mime_type)
    return Packed(Kind.BINARY, _encoder.encode(meta), payload, copied)


def _pack_control(value: Control) -> Packed:
    first, second = _CONTROL_FIELDS[type(value.message)](value.message)
    meta = _ControlMeta(
        metadata=_metadata(value),
        message=type(value.message).__name__,
        first=first,
        second=second,
        segment_id=value.segment_id,
        timestamp_ms=value.timestamp_ms,
        message_metadata=value.message_metadata,
    )
    return Packed(Kind.CONTROL, _encoder.encode(meta), NO_PAYLOAD)


_CONTROL_FIELDS: dict[type, Callable[[Any], tuple[int, int]]] = {
    CancelSpeculation: lambda m: (m.from_timestamp, m.to_timestamp),
    BatchHint: lambda m: (m.suggested_batch_size, 0),
    DeadlineWarning: lambda m: (m.deadline_us, 0),
}
_CONTROL_MESSAGES: dict[str, Callable[[int, int], CancelSpeculation | BatchHint | DeadlineWarning]]
_CONTROL_MESSAGES = {
    "CancelSpeculation": CancelSpeculation,
    "BatchHint": lambda first, _: BatchHint(first),
    "DeadlineWarning": lambda first, _: DeadlineWarning(first),
}

_audio_meta = msgspec.msgpack.Decoder(_AudioMeta)
_video_meta = msgspec.msgpack.Decoder(_VideoMeta)
_tensor_meta = msgspec.msgpack.Decoder(_TensorMeta)
_text_meta = msgspec.msgpack.Decoder(_TextMeta)
_json_meta = msgspec.msgpack.Decoder(_JsonMeta)
_binary_meta = msgspec.msgpack.Decoder(_BinaryMeta)
_control_meta = msgspec.msgpack.Decoder(_ControlMeta)


def _unpack_audio(data: bytes, payload: NDArray[np.uint8]) -> Audio:
    meta, dtype = _audio_form(data)
    samples = payload.view(dtype).reshape(-1, meta.channels)
    return Audio(samples, meta.sample_rate_hz, _restored(meta), meta.metadata_json)


@functools.lru_cache(64)
def _audio_form(data: bytes) -> tuple[_AudioMeta, np.dtype[Any]]:
    meta = _audio_meta.decode(data)
    return meta, _dtype(meta.dtype)


def _unpack_video(data: bytes, payload: NDArray[np.uint8]) -> Video:
    meta = _video_meta.decode(data)
    return Video(
        payload,
        meta.width,
        meta.height,
        PixelFormat(meta.pixel_format),
        VideoCodec(meta.codec),
        meta.frame_number,
        meta.timestamp_us,
        meta.is_keyframe,
        _restored(meta),
    )


def _unpack_tensor(data: bytes, payload: NDArray[np.uint8]) -> Tensor:
    meta = _tensor_meta.decode(data)
    try:
        array = payload.view(_dtype(meta.dtype)).reshape(
            meta.shape, order="F" if meta.fortran else "C"
        )
    except OverflowError as exc:
        raise ValueError(f"no array has the shape {meta.shape}") from exc
    return Tensor(array, meta.layout, _restored(meta))


def _dtype(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name)
    except TypeError as exc:
        raise ValueError(f"unknown element type {name!r}") from exc
    if dtype.kind not in "biufc" or not dtype.itemsize:
        raise ValueError(f"expected a numeric element type, got {name!r}")
    return dtype


def _unpack_text(data: bytes, payload: NDArray[np.uint8]) -> Text:
    meta = _text_meta.decode(data)
    return Text(payload.tobytes().decode(), meta.language, meta.channel, _restored(meta))


def _unpack_json(data: bytes, payload: NDArray[np.uint8]) -> Json:
    meta = _json_meta.decode(data)
    try:
        value = json.loads(payload.tobytes())
    except RecursionError as exc:
        raise ValueError("JSON nested too deep") from exc
    return Json(value, meta.schema_type, _restored(meta))


def _unpack_binary(data: bytes, payload: NDArray[np.uint8]) -> Binary:
    meta = _binary_meta.decode(data)
    return Binary(payload, meta.mime_type, _restored(meta))


def _unpack_control(data: bytes, payload: NDArray[np.uint8]) -> Control:
    meta = _control_meta.decode(data)
    build = _CONTROL_MESSAGES.get(meta.message)
    if build is None:
        raise ValueError(f"unknown control message {meta.message!r}")
    return Control(
        build(meta.first, meta.second),
        meta.segment_id,
        meta.timestamp_ms,
        meta.message_metadata,
        _restored(meta),
    )


_PACKERS: dict[type, Callable[[Any], Packed]] = {
    Audio: _pack_audio,
    Video: _pack_video,
    Tensor: _pack_tensor,
    Text: _pack_text,
    Json: _pack_json,
    Binary: _pack_binary,
    Control: _pack_control,
}
_UNPACKERS: dict[Kind, Callable[[bytes, NDArray[np.uint8]], Value]] = {
    Kind.AUDIO: _unpack_audio,
    Kind.VIDEO: _unpack_video,
    Kind.TENSOR: _unpack_tensor,
    Kind.TEXT: _unpack_text,
    Kind.JSON: _unpack_json,
    Kind.BINARY: _unpack_binary,
    Kind.CONTROL: _unpack_control,
}
