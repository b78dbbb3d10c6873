"""The typed values: what they refuse, and equality bit for bit."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import pytest

from penstock.data import (
    Audio,
    Binary,
    Json,
    Kind,
    PixelFormat,
    Tensor,
    Text,
    Value,
    Video,
    freeze,
    payload_bytes,
    replace,
)


def test_one_dimensional_samples_are_mono() -> None:
    samples = np.zeros(4, dtype=np.int16)
    audio = Audio(samples, 16_000)
    assert audio.samples.shape == (4, 1)
    assert np.shares_memory(audio.samples, samples)
    assert audio.channels == 1


@pytest.mark.parametrize("shape", [(1, 128), (9, 129), (0, 129), (160, 200)])
def test_many_channels_may_be_meant(shape: tuple[int, int]) -> None:
    assert Audio(np.zeros(shape, np.int16), 16_000).channels == shape[1]


def test_duration_is_in_seconds() -> None:
    assert Audio(np.zeros((8_000, 2), dtype=np.float32), 16_000).duration_s == 0.5


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((2, 2, 2), np.int16), 1, r"got \(2, 2, 2\)"),
        (np.zeros((2, 0), np.int16), 1, r"got \(2, 0\)"),
        (np.zeros((2, 16_000), np.int16), 1, r"got \(2, 16000\): transpose what has its channels"),
        (np.zeros((8, 129), np.int16), 1, r"got \(8, 129\): transpose"),
        (np.zeros(2, np.float64), 1, "got float64"),
        (np.zeros(2, np.dtype(">i2")), 1, "got >i2"),
        (np.zeros(2, np.int16), 0, "at least 1, got 0"),
    ],
)
def test_audio_says_what_is_wrong(samples: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Audio(samples, rate)


@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [
        (PixelFormat.RGB24, 45),
        (PixelFormat.RGBA32, 60),
        (PixelFormat.GRAY8, 15),
        (PixelFormat.I420, 15 + 2 * 3 * 2),
        (PixelFormat.YUV420P, 15 + 2 * 3 * 2),
        (PixelFormat.NV12, 15 + 2 * 3 * 2),
    ],
)
def test_a_raw_frame_has_the_size_its_format_says(pixel_format: PixelFormat, size: int) -> None:
    frame = Video(np.zeros(size, np.uint8), width=5, height=3, pixel_format=pixel_format)
    assert payload_bytes(frame) == size
    with pytest.raises(ValueError, match=f"has {size} bytes, got {size + 1}"):
        Video(np.zeros(size + 1, np.uint8), width=5, height=3, pixel_format=pixel_format)


def test_an_encoded_frame_may_have_any_size() -> None:
    Video(np.zeros(7, np.uint8), 640, 480, PixelFormat.ENCODED)


@pytest.mark.parametrize("dtype", [object, "U3", "datetime64[s]", [("a", "i4")]])
def test_tensors_are_numeric(dtype: object) -> None:
    with pytest.raises(ValueError, match="must be numeric"):
        Tensor(np.empty(1, dtype=dtype))


def test_binary_wraps_a_buffer_without_copying_it() -> None:
    data = bytearray(b"abc")
    binary = Binary.from_bytes(memoryview(data))
    data[0] = ord("x")
    assert binary.data.tobytes() == b"xbc"
    with pytest.raises(ValueError, match="one-dimensional uint8"):
        Binary(np.zeros((2, 2), np.uint8))


def test_equality_is_bit_for_bit() -> None:
    nan = np.array([np.nan], np.float32)
    assert Audio(nan, 1) == Audio(nan.copy(), 1)
    assert Tensor(np.array([0.0])) != Tensor(np.array([-0.0]))
    assert Tensor(np.zeros(2, np.int32)) != Tensor(np.zeros(2, np.float32))
    assert Tensor(np.zeros((1, 2))) != Tensor(np.zeros((2, 1)))
    assert Text("a") != Json("a")
    assert Text("a", metadata={"k": "v"}) != Text("a")


def test_values_are_frozen_and_unhashable() -> None:
    with pytest.raises(AttributeError):
        Text("a").text = "b"  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError, match="unhashable"):
        hash(Text("a"))


def test_a_field_is_replaced_and_arrays_that_stay_are_shared() -> None:
    samples = np.zeros((4, 2), np.float32)
    audio = Audio(samples, 16_000, {"speaker": "a"})
    faster = replace(audio, sample_rate_hz=48_000)
    assert type(faster) is Audio
    assert faster.samples is samples
    assert (faster.sample_rate_hz, faster.metadata) == (48_000, {"speaker": "a"})
    assert audio.sample_rate_hz == 16_000
    assert replace(audio, samples=samples[:, 0]).samples.shape == (4, 1)


def test_what_is_replaced_is_checked_as_in_a_new_value() -> None:
    audio = Audio(np.zeros(4, np.float32), 16_000)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        replace(audio, sample_rate_hz=0)
    with pytest.raises(TypeError, match="numpy array, got list"):
        replace(audio, samples=[1, 2])
    with pytest.raises(TypeError, match="rate"):
        replace(audio, rate=1)


def test_values_match_patterns_by_position_and_by_name() -> None:
    match Text("hello", "en"):
        case Text(text, language):
            assert (text, language) == ("hello", "en")
    match Audio(np.zeros(4, np.int16), 8_000):
        case Audio(sample_rate_hz=rate):
            assert rate == 8_000


def test_a_value_shows_its_fields_and_may_be_watched() -> None:
    text = Text("hello", channel="left")
    assert repr(text).startswith("Text(text='hello', language='', channel='left'")
    gone = weakref.ref(text)
    del text
    assert gone() is None


def test_every_kind_is_named_once() -> None:
    assert {kind.value for kind in Kind} == {
        "audio",
        "video",
        "tensor",
        "text",
        "json",
        "binary",
        "control",
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Audio([1, 2, 3], 16_000), "samples must be a numpy array, got list"),
        (lambda: Video(b"abc", 1, 1, PixelFormat.RGB24), "pixels must be a numpy array, got bytes"),
        (lambda: Tensor(3.0), "array must be a numpy array, got float"),
        (lambda: Binary(b"abc"), "data must be a numpy array, got bytes"),
    ],
)
def test_what_is_no_array_is_said(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (Audio(np.zeros((3, 2), np.float32), 16_000), 24),
        (Tensor(np.zeros((3, 2), np.int16)), 12),
        (Binary(np.zeros(5, np.uint8)), 5),
        (Text("svět"), 5),
        (Text("world"), 5),
        (Json("world"), 0),
    ],
)
def test_payload_bytes_are_those_of_the_array_or_of_the_text(value: Value, size: int) -> None:
    assert payload_bytes(value) == size


@pytest.mark.parametrize("text", [1, None, b"x"])
def test_text_is_a_string(text: object) -> None:
    with pytest.raises(TypeError, match="text must be a str, got"):
        Text(text)  # type: ignore[arg-type]  # that is the point


def test_frozen_values_can_not_be_written_to() -> None:
    audio = Audio(np.zeros(8, np.float32), 16_000)
    freeze(audio)
    freeze(audio)
    freeze(Text("has no array"))
    with pytest.raises(ValueError, match="read-only"):
        audio.samples[0] = 1
