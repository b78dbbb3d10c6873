"""Audio, frames and arrays as protocol messages, and back.

Decoding makes read-only views on a message's payload, which may lie beside it, and never copies
it; it raises ``ValueError`` with what was found and what was expected. Writing writes all but the
payload, and gives that as an array, to be sent in C order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.data import Audio, PixelFormat, Tensor, Video, VideoCodec
from penstock.wire.parted import Payload
from penstock.wire.v1 import common_pb2 as pb

_AUDIO_DTYPES: dict[pb.AudioFormat, np.dtype[Any]] = {
    pb.AUDIO_FORMAT_UNSPECIFIED: np.dtype("<f4"),
    pb.AUDIO_FORMAT_F32: np.dtype("<f4"),
    pb.AUDIO_FORMAT_I16: np.dtype("<i2"),
    pb.AUDIO_FORMAT_I32: np.dtype("<i4"),
}
_AUDIO_FORMATS = {
    "<f4": pb.AUDIO_FORMAT_F32,
    "<i2": pb.AUDIO_FORMAT_I16,
    "<i4": pb.AUDIO_FORMAT_I32,
}
_TENSOR_DTYPES: dict[pb.TensorDtype, np.dtype[Any]] = {
    pb.TENSOR_DTYPE_F32: np.dtype("<f4"),
    pb.TENSOR_DTYPE_F16: np.dtype("<f2"),
    pb.TENSOR_DTYPE_I32: np.dtype("<i4"),
    pb.TENSOR_DTYPE_I8: np.dtype("|i1"),
    pb.TENSOR_DTYPE_U8: np.dtype("|u1"),
}
_PIXEL_FORMATS: dict[PixelFormat, pb.PixelFormat] = {
    own: getattr(pb, f"PIXEL_FORMAT_{own.name}") for own in PixelFormat
}
_VIDEO_CODECS: dict[VideoCodec, pb.VideoCodec] = {
    own: getattr(pb, f"VIDEO_CODEC_{own.name}") for own in VideoCodec
}
_TENSOR_FORMATS = {dtype.str: number for number, dtype in _TENSOR_DTYPES.items()}
_MOST_DIMENSIONS = 64
_NUMERIC = re.compile(r"[<>|=]?(b1|[iu][1248]|f(2|4|8|16)|c(8|16|32))")
_NUMERIC_NAME = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64|128)|complex(64|128|256)")


def decode_audio(message: pb.AudioBuffer, payload: Payload, metadata: Mapping[str, str]) -> Audio:
    dtype = _AUDIO_DTYPES.get(message.format)
    if dtype is None:
        raise ValueError(f"format: expected F32, I16 or I32, got {message.format}")
    channels, nbytes = message.channels, len(payload)
    if channels < 1:
        raise ValueError("channels: expected at least 1, got 0")
    if nbytes % (dtype.itemsize * channels):
        raise ValueError(
            f"samples: expected whole frames of {channels} × {dtype.itemsize} bytes "
            f"({dtype.name}), got {nbytes} bytes{_assumed(message)}"
        )
    samples = np.frombuffer(payload, dtype)
    # clients count the samples of all channels, or of each; 0 says nothing
    if message.num_samples not in (0, samples.size, samples.size // channels):
        raise ValueError(
            f"num_samples: says {message.num_samples}, but samples holds {samples.size}"
            f"{_assumed(message)}"
        )
    said = message.metadata_json if message.HasField("metadata_json") else None
    return Audio(samples.reshape(-1, channels), message.sample_rate, metadata, said)


def _assumed(message: pb.AudioBuffer) -> str:
    """What to add to a message about samples whose client hasn't said what they are."""
    unsaid = message.format == pb.AUDIO_FORMAT_UNSPECIFIED
    return " (format was not given, and F32 assumed)" if unsaid else ""


def write_audio(value: Audio, buffer: pb.DataBuffer) -> NDArray[Any]:
    message, samples = buffer.audio, value.samples
    message.sample_rate = value.sample_rate_hz
    message.channels = samples.shape[1]
    message.format = _AUDIO_FORMATS[samples.dtype.str]
    message.num_samples = samples.size
    if value.metadata_json is not None:
        message.metadata_json = value.metadata_json
    return samples


def decode_video(message: pb.VideoFrame, payload: Payload, metadata: Mapping[str, str]) -> Video:
    return Video(
        np.frombuffer(payload, np.uint8),
        message.width,
        message.height,
        PixelFormat(message.format),
        VideoCodec(message.codec),
        message.frame_number,
        message.timestamp_us,
        message.is_keyframe,
        metadata,
    )


def write_video(value: Video, message: pb.VideoFrame) -> NDArray[Any]:
    message.width = value.width
    message.height = value.height
    message.format = _PIXEL_FORMATS[value.pixel_format]
    message.frame_number = value.frame_number
    message.timestamp_us = value.timestamp_us
    message.codec = _VIDEO_CODECS[value.codec]
    message.is_keyframe = value.is_keyframe
    return value.pixels


def decode_tensor(
    message: pb.TensorBuffer, payload: Payload, metadata: Mapping[str, str]
) -> Tensor:
    dtype = _TENSOR_DTYPES.get(message.dtype)
    if dtype is None:
        raise ValueError(f"dtype: expected F32, F16, I32, I8 or U8, got {message.dtype}")
    shape = _extents("shape", message.shape)
    data = _checked_size(payload, shape, dtype)
    return Tensor(np.frombuffer(data, dtype).reshape(shape), message.layout, metadata)


def decode_numpy(message: pb.NumpyBuffer, payload: Payload, metadata: Mapping[str, str]) -> Tensor:
    dtype = _numeric(message.dtype)
    shape = _extents("shape", message.shape)
    data = _checked_size(payload, shape, dtype)
    if message.strides:
        array = _strided(data, shape, dtype, _extents("strides", message.strides))
    else:
        fortran = message.f_contiguous and not message.c_contiguous
        array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    if message.c_contiguous > array.flags.c_contiguous:
        raise ValueError(f"c_contiguous: is set, but the strides are {array.strides}")
    if message.f_contiguous > array.flags.f_contiguous:
        raise ValueError(f"f_contiguous: is set, but the strides are {array.strides}")
    return Tensor(array, message.layout, metadata)


def _extents(name: str, said: Sequence[int]) -> tuple[int, ...]:
    """As many as an array can have; to multiply thousands of large ones takes seconds."""
    if len(said) > _MOST_DIMENSIONS:
        raise ValueError(f"{name}: expected at most {_MOST_DIMENSIONS} dimensions, got {len(said)}")
    return tuple(said)


def _strided(
    data: Payload, shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...]
) -> NDArray[Any]:
    """A view with any strides, also negative ones; numpy refuses those that leave ``data``."""
    if len(strides) != len(shape):
        raise ValueError(f"strides: expected {len(shape)} as in shape, got {len(strides)}")
    steps = zip(shape, strides, strict=True)
    first = sum(-stride * (length - 1) for length, stride in steps if stride < 0 and length)
    return np.ndarray(shape, dtype, data, first, strides)


def _numeric(name: str) -> np.dtype[Any]:
    """A numeric type by numpy's name; nothing else reaches numpy's parser of types."""
    if not (_NUMERIC.fullmatch(name) or _NUMERIC_NAME.fullmatch(name)):
        raise ValueError(f"dtype: expected a numeric type such as '<f8', got {name[:80]!r}")
    try:
        return np.dtype(name)
    except TypeError as exc:
        raise ValueError(f"dtype: {name!r} is unknown on this machine") from exc


def _checked_size(data: Payload, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Payload:
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(
            f"data: expected {expected} bytes ({dtype.name} of shape {shape}), got {len(data)}"
        )
    return data


def write_tensor(value: Tensor, buffer: pb.DataBuffer) -> NDArray[Any]:
    """A ``TensorBuffer`` for C order and its five types, a ``NumpyBuffer`` for the others."""
    array = value.array
    number = _TENSOR_FORMATS.get(array.dtype.str)
    if number is None or not array.flags.c_contiguous:
        return _write_numpy(value, buffer.numpy)
    message = buffer.tensor
    message.shape.extend(array.shape)
    message.dtype = number
    message.layout = value.layout
    return array


def _write_numpy(value: Tensor, message: pb.NumpyBuffer) -> NDArray[Any]:
    array = value.array
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    laid_out = array if fortran else np.ascontiguousarray(array).reshape(array.shape)
    message.shape.extend(array.shape)
    message.dtype = array.dtype.str
    message.strides.extend(laid_out.strides)
    message.c_contiguous = laid_out.flags.c_contiguous
    message.f_contiguous = laid_out.flags.f_contiguous
    message.layout = value.layout
    return laid_out.T if fortran else laid_out
