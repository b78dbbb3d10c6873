"""Values as a payload and a small description; ``reading`` is the way back.

The payload is what may lie in shared memory: samples, pixels, elements, text.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.data.descriptions import (
    AudioMeta,
    BinaryMeta,
    ControlMeta,
    JsonMeta,
    TensorMeta,
    TextMeta,
    VideoMeta,
)
from penstock.data.values import (
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    Json,
    Kind,
    Tensor,
    Text,
    Value,
    Video,
)

NO_PAYLOAD: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
_AUDIO: Final = Kind.AUDIO  # a name of its own takes a quarter of the time that an Enum does
_encoder = msgspec.msgpack.Encoder()


Packed: TypeAlias = tuple[Kind, bytes, NDArray[Any]]
"""A value taken apart: its kind, its description, and the array that is its payload.

The array is the value's own, or its transpose where that is in Fortran order: what travels are
its elements in C order. A plain tuple, since there is one for every message."""


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


def _metadata(value: Value) -> dict[str, str] | None:
    return dict(value.metadata) if value.metadata else None


def _pack_audio(value: Audio) -> Packed:
    samples = value.samples
    channels = samples.shape[1]
    if value.metadata or value.metadata_json is not None:
        form = value.sample_rate_hz, samples.dtype.str, channels
        meta = _audio_description(*form, _metadata(value), value.metadata_json)
    else:
        meta = _plain_audio(value.sample_rate_hz, samples.dtype.char, channels)
    return _AUDIO, meta, samples


def _audio_description(
    sample_rate_hz: int,
    dtype: str,
    channels: int,
    metadata: dict[str, str] | None,
    metadata_json: bytes | None,
) -> bytes:
    return _encoder.encode(
        AudioMeta(
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
    meta = VideoMeta(
        metadata=_metadata(value),
        width=value.width,
        height=value.height,
        pixel_format=int(value.pixel_format),
        codec=int(value.codec),
        frame_number=value.frame_number,
        timestamp_us=value.timestamp_us,
        is_keyframe=value.is_keyframe,
    )
    return Kind.VIDEO, _encoder.encode(meta), value.pixels


def _pack_tensor(value: Tensor) -> Packed:
    array = value.array
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    meta = TensorMeta(
        metadata=_metadata(value),
        dtype=array.dtype.str,
        shape=array.shape,
        fortran=fortran,
        layout=value.layout,
    )
    return Kind.TENSOR, _encoder.encode(meta), array.T if fortran else array


def _pack_text(value: Text) -> Packed:
    meta = TextMeta(metadata=_metadata(value), language=value.language, channel=value.channel)
    payload = np.frombuffer(value.text.encode(), dtype=np.uint8)
    return Kind.TEXT, _encoder.encode(meta), payload


def _pack_json(value: Json) -> Packed:
    meta = JsonMeta(metadata=_metadata(value), schema_type=value.schema_type)
    text = value.value
    if type(text) is not msgspec.Raw:
        try:
            text = json.dumps(text, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, RecursionError) as exc:
            raise ValueError(f"not JSON: {exc}") from exc
    return Kind.JSON, _encoder.encode(meta), np.frombuffer(text, dtype=np.uint8)


def _pack_binary(value: Binary) -> Packed:
    if value.metadata:
        meta = _encoder.encode(BinaryMeta(metadata=_metadata(value), mime_type=value.mime_type))
    else:
        meta = _plain_binary(value.mime_type)
    return Kind.BINARY, meta, value.data


@functools.lru_cache(64)
def _plain_binary(mime_type: str) -> bytes:
    return _encoder.encode(BinaryMeta(metadata=None, mime_type=mime_type))


def _pack_control(value: Control) -> Packed:
    first, second = _CONTROL_FIELDS[type(value.message)](value.message)
    meta = ControlMeta(
        metadata=_metadata(value),
        message=type(value.message).__name__,
        first=first,
        second=second,
        segment_id=value.segment_id,
        timestamp_ms=value.timestamp_ms,
        message_metadata=value.message_metadata,
    )
    return Kind.CONTROL, _encoder.encode(meta), NO_PAYLOAD


_CONTROL_FIELDS: dict[type, Callable[[Any], tuple[int, int]]] = {
    CancelSpeculation: lambda m: (m.from_timestamp, m.to_timestamp),
    BatchHint: lambda m: (m.suggested_batch_size, 0),
    DeadlineWarning: lambda m: (m.deadline_us, 0),
}

_PACKERS: dict[type, Callable[[Any], Packed]] = {
    Audio: _pack_audio,
    Video: _pack_video,
    Tensor: _pack_tensor,
    Text: _pack_text,
    Json: _pack_json,
    Binary: _pack_binary,
    Control: _pack_control,
}
