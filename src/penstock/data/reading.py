"""Readers put values together again around arrays that somebody else lays over payloads."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.data.audio import AudioBuilder
from penstock.data.descriptions import (
    AudioMeta,
    BinaryMeta,
    ControlMeta,
    JsonMeta,
    Meta,
    TensorMeta,
    TextMeta,
    VideoMeta,
)
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

_FLAT = (-1,)
_BYTES = np.dtype(np.uint8)
_REMEMBERED_BYTES = 256
"""Descriptions up to this length are remembered."""
PARSED_BYTES = 64 << 10
"""The longest JSON text that is parsed by who only passes it on: it takes some 10 ms, and all else
waits, threads too, as Python's parser lets go of nothing meanwhile."""


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


ReadsValues: TypeAlias = Callable[[Kind, bytes], Reader]
"""Gives a reader of payloads of a kind, which are described like that."""


def reader(kind: Kind, meta: bytes) -> Reader:
    """How to read payloads that are described like this; a stream's descriptions repeat.

    Raises ``ValueError`` for a description that is none.
    """
    return _known_reader(kind, meta) if len(meta) <= _REMEMBERED_BYTES else _READERS[kind](meta)


def passing_reader(kind: Kind, meta: bytes) -> Reader:
    """As ``reader``, for who passes values on: JSON beyond ``PARSED_BYTES`` stays its text."""
    return _json_reader(meta, _parsed_if_short) if kind is Kind.JSON else reader(kind, meta)


@functools.lru_cache(256)
def _known_reader(kind: Kind, meta: bytes) -> Reader:
    return _READERS[kind](meta)


def _restored(meta: Meta) -> Mapping[str, str]:
    return MappingProxyType(meta.metadata) if meta.metadata else NO_METADATA


_CONTROL_MESSAGES: dict[str, Callable[[int, int], CancelSpeculation | BatchHint | DeadlineWarning]]
_CONTROL_MESSAGES = {
    "CancelSpeculation": CancelSpeculation,
    "BatchHint": lambda first, _: BatchHint(first),
    "DeadlineWarning": lambda first, _: DeadlineWarning(first),
}


_audio_meta = msgspec.msgpack.Decoder(AudioMeta)
_video_meta = msgspec.msgpack.Decoder(VideoMeta)
_tensor_meta = msgspec.msgpack.Decoder(TensorMeta)
_text_meta = msgspec.msgpack.Decoder(TextMeta)
_json_meta = msgspec.msgpack.Decoder(JsonMeta)
_binary_meta = msgspec.msgpack.Decoder(BinaryMeta)
_control_meta = msgspec.msgpack.Decoder(ControlMeta)


def _read_audio(data: bytes) -> Reader:
    meta = _audio_meta.decode(data)
    build = AudioBuilder(Audio, meta.sample_rate_hz, _restored(meta), meta.metadata_json)
    return Reader(_dtype(meta.dtype), (-1, meta.channels), False, build)


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
    return _json_reader(data, _parsed)


def _json_reader(data: bytes, parsed: Callable[[NDArray[np.uint8]], Any]) -> Reader:
    meta = _json_meta.decode(data)
    description = meta.schema_type, _restored(meta)
    return Reader(_BYTES, _FLAT, False, lambda text: Json(parsed(text), *description))


def _parsed_if_short(text: NDArray[np.uint8]) -> Any:
    return _parsed(text) if text.nbytes <= PARSED_BYTES else msgspec.Raw(text.tobytes())


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


_READERS: dict[Kind, Callable[[bytes], Reader]] = {
    Kind.AUDIO: _read_audio,
    Kind.VIDEO: _read_video,
    Kind.TENSOR: _read_tensor,
    Kind.TEXT: _read_text,
    Kind.JSON: _read_json,
    Kind.BINARY: _read_binary,
    Kind.CONTROL: _read_control,
}
