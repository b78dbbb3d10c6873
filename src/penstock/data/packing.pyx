"""Values as a payload and a small description; ``reading`` is the way back.

The payload is what may lie in shared memory: samples, pixels, elements, text.
"""

import functools
import json

import msgspec
import numpy as np

from numpy cimport PyArray_DESCR, PyArray_DIM, import_array, ndarray

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
    NO_METADATA,
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
    Video,
)

NO_PAYLOAD = np.empty(0, dtype=np.uint8)
_encoder = msgspec.msgpack.Encoder()
import_array()

cdef object _Audio = Audio
cdef object _AUDIO = Kind.AUDIO  # a name of its own takes a quarter of the time that an Enum does
cdef object _NO_METADATA = NO_METADATA


cdef class _Plain:
    """The description of audio that has nothing to it but samples."""

    cdef object sample_rate_hz
    cdef object dtype
    cdef Py_ssize_t channels
    cdef bytes meta

    def __init__(self, sample_rate_hz, dtype, channels):
        self.meta = _described(sample_rate_hz, dtype, channels, None, None)
        self.sample_rate_hz = sample_rate_hz
        self.dtype = dtype
        self.channels = channels


cdef _Plain _last = None
"""Of the last audio that was packed: a stream says the same of every chunk."""


def pack(value):
    """A value taken apart: its kind, its description, and the array that is its payload.

    Nothing is copied: the array is the value's own, or its transpose where that is in Fortran
    order, since what travels are its elements in C order.

    Raises ``TypeError`` for what is no value, and ``ValueError`` for JSON that can't be
    written as JSON (NaN, infinities, foreign objects) or text with lone surrogates.
    """
    if type(value) is _Audio:
        return _pack_audio(value)
    packer = _PACKERS.get(type(value))
    if packer is None:
        known = ", ".join(kind.__name__ for kind in (Audio, *_PACKERS))
        raise TypeError(f"expected one of {known}, got {type(value).__name__}")
    return packer(value)


def _metadata(value):
    return dict(value.metadata) if value.metadata else None


cdef tuple _pack_audio(value):
    global _last
    cdef ndarray samples = value.samples
    cdef object rate = value.sample_rate_hz
    cdef object dtype = <object>PyArray_DESCR(samples)
    cdef Py_ssize_t channels = PyArray_DIM(samples, 1)
    cdef _Plain plain = _last
    metadata, said = value.metadata, value.metadata_json
    if said is not None or (metadata is not _NO_METADATA and metadata):
        return _AUDIO, _described(rate, dtype, channels, _metadata(value), said), samples
    if (
        plain is None
        or plain.dtype is not dtype
        or plain.channels != channels
        or plain.sample_rate_hz != rate
    ):
        plain = _last = _Plain(rate, dtype, channels)
    return _AUDIO, plain.meta, samples


def _described(rate, dtype, channels, metadata, said):
    return _encoder.encode(
        AudioMeta(
            metadata=metadata,
            sample_rate_hz=rate,
            dtype=dtype.str,
            channels=channels,
            metadata_json=said,
        )
    )


def _pack_video(value):
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


def _pack_tensor(value):
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


def _pack_text(value):
    meta = TextMeta(metadata=_metadata(value), language=value.language, channel=value.channel)
    payload = np.frombuffer(value.text.encode(), dtype=np.uint8)
    return Kind.TEXT, _encoder.encode(meta), payload


def _pack_json(value):
    meta = JsonMeta(metadata=_metadata(value), schema_type=value.schema_type)
    text = value.value
    if type(text) is not msgspec.Raw:
        try:
            text = json.dumps(text, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, RecursionError) as exc:
            raise ValueError(f"not JSON: {exc}") from exc
    return Kind.JSON, _encoder.encode(meta), np.frombuffer(text, dtype=np.uint8)


def _pack_binary(value):
    if value.metadata:
        meta = _encoder.encode(BinaryMeta(metadata=_metadata(value), mime_type=value.mime_type))
    else:
        meta = _plain_binary(value.mime_type)
    return Kind.BINARY, meta, value.data


@functools.lru_cache(64)
def _plain_binary(mime_type):
    return _encoder.encode(BinaryMeta(metadata=None, mime_type=mime_type))


def _pack_control(value):
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


_CONTROL_FIELDS = {
    CancelSpeculation: lambda m: (m.from_timestamp, m.to_timestamp),
    BatchHint: lambda m: (m.suggested_batch_size, 0),
    DeadlineWarning: lambda m: (m.deadline_us, 0),
}

_PACKERS = {
    Video: _pack_video,
    Tensor: _pack_tensor,
    Text: _pack_text,
    Json: _pack_json,
    Binary: _pack_binary,
    Control: _pack_control,
}
