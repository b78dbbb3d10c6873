"""Values as a payload and a small description, and back.

The payload is what may lie in shared memory: samples, pixels, elements, text. The
description is msgpack, typed by kind, so that rubbish is refused and nothing is pickled.
A ``Reader`` puts a value together again around an array that somebody else lays over the
payload, wherever that is; nothing here copies one.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
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
    """A value taken apart: its kind, its description, and the array that is its payload.

    ``payload`` is contiguous, in C or Fortran order: its bytes as they lie in memory are what
    travels. It is the value's own array wherever that is contiguous; ``copied`` says that it
    was not.
    """

    kind: Kind
    meta: bytes
    payload: NDArray[Any]
    copied: bool = False


class Reader(NamedTuple):
    """How to read payloads of one description.

    ``dtype``, ``shape`` (-1: as many as there are) and ``fortran`` order say what array to lay
    over the payload; ``build`` makes the value of that array. Readers are shared: nobody may
    change what they are made of.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    build: Callable[[NDArray[Any]], Value]


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


def reader(kind: Kind, meta: bytes) -> Reader:
    """How to read payloads that are described like this; a stream's descriptions repeat.

    Raises ``ValueError`` for a description that is none.
    """
    return _known_reader(kind, meta) if len(meta) <= _REMEMBERED_BYTES else _READERS[kind](meta)


def unpack(kind: Kind, meta: bytes, payload: NDArray[np.uint8]) -> Value:
    """Put a value together again, as views on ``payload`` (one-dimensional uint8).

    Raises ``ValueError`` for a description or a payload that don't fit each other.
    """
    dtype, shape, fortran, build = reader(kind, meta)
    try:
        array = payload.view(dtype).reshape(shape, order="F" if fortran else "C")
    except OverflowError as exc:
        raise ValueError(f"no array has the shape {shape}") from exc
    return build(array)


@functools.lru_cache(256)
def _known_reader(kind: Kind, meta: bytes) -> Reader:
    return _READERS[kind](meta)


def _metadata(value: Value) -> dict[str, str] | None:
    return dict(value.metadata) if value.metadata else None


def _restored(meta: _Meta) -> Mapping[str, str]:
    return MappingProxyType(meta.metadata) if meta.metadata else NO_METADATA


def _pack_audio(value: Audio) -> Packed:
    samples = value.samples
    channels = samples.shape[1]
    if value.metadata or value.metadata_json is not None:
        form = value.sample_rate_hz, samples.dtype.str, channels
        meta = _audio_description(*form, _metadata(value), value.metadata_json)
    else:
        meta = _plain_audio(value.sample_rate_hz, samples.dtype.char, channels)
    return _packed(Kind.AUDIO, meta, samples)


def _packed(kind: Kind, meta: bytes, array: NDArray[Any]) -> Packed:
    if array.flags.c_contiguous:
        return Packed(kind, meta, array)
    return Packed(kind, meta, np.ascontiguousarray(array), copied=True)


def _audio_description(
    sample_rate_hz: int,
    dtype: str,
    channels: int,
    metadata: dict[str, str] | None,
    metadata_json: bytes | None,
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


@functools.lru_cache(64)
def _plain_audio(sample_rate_hz: int, char: str, channels: int) -> bytes:
    """A stream says the same of every chunk."""
    return _audio_description(sample_rate_hz, np.dtype(char).str, channels, None, None)


def _pack_video(value: Video) -> Packed:
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
    return _packed(Kind.VIDEO, _encoder.encode(meta), value.pixels)


def _pack_tensor(value: Tensor) -> Packed:
    array = value.array
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    meta = _TensorMeta(
        metadata=_metadata(value),
        dtype=array.dtype.str,
        shape=array.shape,
        fortran=fortran,
        layout=value.layout,
    )
    description = _encoder.encode(meta)
    return (
        Packed(Kind.TENSOR, description, array)
        if fortran
        else (_packed(Kind.TENSOR, description, array))
    )


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
    if value.metadata:
        meta = _encoder.encode(_BinaryMeta(metadata=_metadata(value), mime_type=value.mime_type))
    else:
        meta = _plain_binary(value.mime_type)
    return _packed(Kind.BINARY, meta, value.data)


@functools.lru_cache(64)
def _plain_binary(mime_type: str) -> bytes:
    return _encoder.encode(_BinaryMeta(metadata=None, mime_type=mime_type))


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


_FLAT = (-1,)
_BYTES = np.dtype(np.uint8)
_REMEMBERED_BYTES = 256
"""Descriptions up to this length are remembered."""


def _read_audio(data: bytes) -> Reader:
    meta = _audio_meta.decode(data)
    rate, metadata, said = meta.sample_rate_hz, _restored(meta), meta.metadata_json
    return Reader(
        _dtype(meta.dtype),
        (-1, meta.channels),
        False,
        lambda samples: Audio(samples, rate, metadata, said),
    )


def _read_video(data: bytes) -> Reader:
    meta = _video_meta.decode(data)
    description = (
        meta.width,
        meta.height,
        PixelFormat(meta.pixel_format),
        VideoCodec(meta.codec),
        meta.frame_number,
        meta.timestamp_us,
        meta.is_keyframe,
        _restored(meta),
    )
    return Reader(_BYTES, _FLAT, False, lambda pixels: Video(pixels, *description))


def _read_tensor(data: bytes) -> Reader:
    meta = _tensor_meta.decode(data)
    if any(extent < 0 for extent in meta.shape):
        raise ValueError(f"no array has the shape {meta.shape}")
    layout, metadata = meta.layout, _restored(meta)
    return Reader(
        _dtype(meta.dtype),
        meta.shape,
        meta.fortran,
        lambda array: Tensor(array, layout, metadata),
    )


def _dtype(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name)
    except TypeError as exc:
        raise ValueError(f"unknown element type {name!r}") from exc
    if dtype.kind not in "biufc" or not dtype.itemsize:
        raise ValueError(f"expected a numeric element type, got {name!r}")
    return dtype


def _read_text(data: bytes) -> Reader:
    meta = _text_meta.decode(data)
    description = meta.language, meta.channel, _restored(meta)
    return Reader(_BYTES, _FLAT, False, lambda text: Text(text.tobytes().decode(), *description))


def _read_json(data: bytes) -> Reader:
    meta = _json_meta.decode(data)
    description = meta.schema_type, _restored(meta)
    return Reader(_BYTES, _FLAT, False, lambda text: Json(_parsed(text), *description))


def _parsed(text: NDArray[np.uint8]) -> Any:
    try:
        return json.loads(text.tobytes())
    except RecursionError as exc:
        raise ValueError("JSON nested too deep") from exc


def _read_binary(data: bytes) -> Reader:
    meta = _binary_meta.decode(data)
    mime_type, metadata = meta.mime_type, _restored(meta)
    return Reader(_BYTES, _FLAT, False, lambda array: Binary(array, mime_type, metadata))


def _read_control(data: bytes) -> Reader:
    meta = _control_meta.decode(data)
    build = _CONTROL_MESSAGES.get(meta.message)
    if build is None:
        raise ValueError(f"unknown control message {meta.message!r}")
    value = Control(
        build(meta.first, meta.second),
        meta.segment_id,
        meta.timestamp_ms,
        meta.message_metadata,
        _restored(meta),
    )
    return Reader(_BYTES, _FLAT, False, lambda _: value)


_PACKERS: dict[type, Callable[[Any], Packed]] = {
    Audio: _pack_audio,
    Video: _pack_video,
    Tensor: _pack_tensor,
    Text: _pack_text,
    Json: _pack_json,
    Binary: _pack_binary,
    Control: _pack_control,
}
_READERS: dict[Kind, Callable[[bytes], Reader]] = {
    Kind.AUDIO: _read_audio,
    Kind.VIDEO: _read_video,
    Kind.TENSOR: _read_tensor,
    Kind.TEXT: _read_text,
    Kind.JSON: _read_json,
    Kind.BINARY: _read_binary,
    Kind.CONTROL: _read_control,
}
