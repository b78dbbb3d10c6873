"""Packing: every value survives bit for bit, and rubbish is a ValueError, never worse."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.data import (
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
    pack,
    reader,
)

LABELS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
INT64 = st.integers(-(2**63), 2**63 - 1)
TENSOR_TYPES = ["?", "u1", "i2", ">i4", "i8", "u8", "f2", "f4", ">f8", "f8", "c8", "c16"]


def unpack(kind, meta, payload):
    """Lay the array that the description asks for over the payload, as a lane's end does."""
    dtype, shape, fortran, build = reader(kind, meta)
    return build(payload.view(dtype).reshape(shape, order="F" if fortran else "C"))


@st.composite
def arrays(draw: st.DrawFn, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Any bits, NaN payloads too, in C order, Fortran order, or with gaps."""
    kind = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    data = draw(st.binary(min_size=count * kind.itemsize, max_size=count * kind.itemsize))
    raw = np.frombuffer(data, np.uint8)
    array = (raw % 2).view(kind) if kind.kind == "b" else raw.view(kind)
    array = array.reshape(shape)
    match draw(st.sampled_from("CFG")):
        case "F":
            return np.asfortranarray(array)
        case "G":
            return np.repeat(array, 2, axis=0)[::2] if shape else array
    return array


@st.composite
def audio(draw: st.DrawFn) -> Audio:
    shape = (draw(st.integers(0, 20)), draw(st.integers(1, 3)))
    samples = draw(arrays(draw(st.sampled_from(["f4", "i2", "i4"])), shape))
    extra = draw(st.none() | st.binary(max_size=9))
    return Audio(samples, draw(st.integers(1, 2**31)), draw(LABELS), extra)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    array = draw(arrays(draw(st.sampled_from(TENSOR_TYPES)), shape))
    return Tensor(array, draw(st.text(max_size=4)), draw(LABELS))


@st.composite
def videos(draw: st.DrawFn) -> Video:
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    raw = draw(st.booleans())
    size = 3 * width * height if raw else draw(st.integers(0, 20))
    return Video(
        draw(arrays("u1", (size,))),
        width,
        height,
        PixelFormat.RGB24 if raw else PixelFormat.ENCODED,
        draw(st.sampled_from(VideoCodec)),
        draw(st.integers(0, 2**40)),
        draw(INT64),
        draw(st.booleans()),
        draw(LABELS),
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | INT64
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
CONTROLS = st.one_of(
    st.builds(CancelSpeculation, INT64, INT64),
    st.builds(BatchHint, INT64),
    st.builds(DeadlineWarning, INT64),
)
VALUES: st.SearchStrategy[Value] = st.one_of(
    audio(),
    tensors(),
    videos(),
    st.builds(Text, st.text(), st.text(max_size=5), st.text(max_size=5), LABELS),
    st.builds(Json, JSON, st.text(max_size=5), LABELS),
    st.builds(Binary, st.binary(max_size=40).map(lambda b: np.frombuffer(b, np.uint8))),
    st.builds(Control, CONTROLS, st.text(max_size=5), INT64, st.text(max_size=5), LABELS),
)


@given(VALUES)
def test_every_value_survives(value: Value) -> None:
    kind, meta, payload = pack(value)
    restored = unpack(kind, meta, np.frombuffer(payload.tobytes(), np.uint8))  # as elsewhere
    assert restored == value
    assert type(restored) is type(value)


@given(st.integers(1, 5), st.integers(2, 5))
def test_fortran_order_survives(rows: int, columns: int) -> None:
    array = np.asfortranarray(np.arange(rows * columns).reshape(rows, columns))
    kind, meta, payload = pack(Tensor(array))
    assert np.shares_memory(payload, array)
    restored = unpack(kind, meta, payload.reshape(-1).view(np.uint8))
    assert isinstance(restored, Tensor)
    assert restored.array.flags.f_contiguous


@pytest.mark.parametrize(
    "value",
    [
        Audio(np.arange(8, dtype=np.int16), 16_000),
        Tensor(np.asfortranarray(np.ones((3, 4)))),
        Binary(np.arange(8, dtype=np.uint8)),
        Video(np.zeros(3, np.uint8), 1, 1, PixelFormat.RGB24),
    ],
    ids=lambda value: value.kind,
)
def test_nothing_contiguous_is_copied_either_way(value: Value) -> None:
    kind, meta, payload = pack(value)
    restored = unpack(kind, meta, payload.reshape(-1).view(np.uint8))
    array = {"samples", "array", "data", "pixels"}.intersection(type(value).__slots__).pop()
    assert np.shares_memory(payload, getattr(value, array))
    assert np.shares_memory(getattr(restored, array), payload)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), [b"a"]])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"not JSON|not JSON compliant"):
        pack(Json(value))


def test_lone_surrogates_are_no_text() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        pack(Text("\ud800"))


def test_bottomless_json_is_refused() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(ValueError, match=r"not JSON|[Cc]ircular"):
        pack(Json(ring))


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected one of Audio, .* got str"):
        pack("text")  # type: ignore[arg-type]  # that is the point


META = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.sampled_from(["<f4", "<i2", "O", "V8", "i4,f4", "f3", "", "nonsense"])
        | st.text(max_size=3)
        | st.lists(st.integers(-(2**63), 2**64 - 1), max_size=3),
        max_size=9,
    ).map(msgspec.msgpack.encode),
)


@given(st.sampled_from(Kind), META, st.binary(max_size=64))
def test_rubbish_is_a_value_error_or_a_value(kind: Kind, meta: bytes, payload: bytes) -> None:
    try:
        value = unpack(kind, meta, np.frombuffer(payload, np.uint8))
    except ValueError:
        return
    assert value.kind is kind


SHAPES = st.lists(st.integers(-(2**63), 2**64 - 1) | st.integers(-3, 5), max_size=3)
TYPES = st.sampled_from(["<f4", "<i2", "|O", "V8", "i4,f4", "f3", "", "M8[s]", "U2", "?"])


@given(TYPES, SHAPES, st.booleans(), st.binary(max_size=32))
def test_a_tensor_of_any_description(
    dtype: str, shape: list[int], fortran: bool, payload: bytes
) -> None:
    meta = msgspec.msgpack.encode([None, dtype, shape, fortran, ""])
    try:
        value = unpack(Kind.TENSOR, meta, np.frombuffer(payload, np.uint8))
    except ValueError:
        return
    assert isinstance(value, Tensor)


@given(TYPES, st.integers(-(2**63), 2**64 - 1) | st.integers(-2, 4), st.binary(max_size=32))
def test_audio_of_any_description(dtype: str, channels: int, payload: bytes) -> None:
    meta = msgspec.msgpack.encode([None, 16_000, dtype, channels, None])
    try:
        value = unpack(Kind.AUDIO, meta, np.frombuffer(payload, np.uint8))
    except ValueError:
        return
    assert isinstance(value, Audio)


def test_json_nested_too_deep_is_a_value_error() -> None:
    _, meta, _ = pack(Json(None))
    payload = np.frombuffer(b"[" * 200_000, np.uint8)
    with pytest.raises(ValueError, match="JSON"):
        unpack(Kind.JSON, meta, payload)
