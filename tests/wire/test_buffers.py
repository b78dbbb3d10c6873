"""Values survive the wire bit for bit; whatever else comes in is refused as such."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.data import (
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    Json,
    PixelFormat,
    Tensor,
    Text,
    Value,
    Video,
    VideoCodec,
)
from penstock.errors import InputError, InvalidValueError
from penstock.wire.buffers import decode, decode_audio_buffer, encode
from penstock.wire.v1 import common_pb2 as pb

SAID = {"speaker": "anna", "ü": "✓"}
VALUES: list[Value] = [
    Audio(np.array([[0.5, -1.0], [0.25, 1.0]], np.float32), 48_000, SAID),
    Audio(np.array([1, -32768, 32767], np.int16), 16_000, metadata_json=b'{"a": 1}'),
    Audio(np.array([[-(2**31), 2**31 - 1, 0]], np.int32), 8_000, metadata_json=b""),
    Audio(np.empty((0, 2), np.int16), 16_000),
    Video(np.arange(18, dtype=np.uint8), 3, 2, PixelFormat.RGB24, frame_number=7, timestamp_us=9),
    Video(
        np.frombuffer(b"nal", np.uint8),
        640,
        480,
        PixelFormat.ENCODED,
        VideoCodec.H264,
        1,
        2,
        is_keyframe=True,
        metadata=SAID,
    ),
    Text("grüße", "de", "left", SAID),
    Text(""),
    Json({"a": [1, 2.5, None, True, "\ud800"]}, "event", SAID),
    Json(None),
    Binary.from_bytes(b"\x00\xff", "application/x"),
    Binary.from_bytes(b""),
    Control(CancelSpeculation(1, 2**63), "s", 5, '{"why": 1}', SAID),
    Control(CancelSpeculation(0, 0)),
    Control(BatchHint(0)),
    Control(DeadlineWarning(77)),
]


def crossed(value: Value) -> Value:
    """The value after a whole way over the wire."""
    message = pb.DataBuffer.FromString(encode(value).SerializeToString())
    return decode(message, "buffer")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.kind)
def test_every_kind_crosses_bit_for_bit(value: Value) -> None:
    back = crossed(value)
    assert back == value
    assert dict(back.metadata) == dict(value.metadata)


@given(
    hnp.arrays(
        st.one_of(
            hnp.boolean_dtypes(),
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?"),
            hnp.complex_number_dtypes(endianness="?"),
        ),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    st.sampled_from(["C", "F", "every second"]),
)
def test_a_tensor_of_any_type_and_layout_crosses(array: Any, order: str) -> None:
    if order == "F":
        array = np.asfortranarray(array)
    elif order != "C" and array.ndim:
        array = array[::-2]
    value = Tensor(array, "NCHW", SAID)
    back = crossed(value)
    assert back == value
    assert isinstance(back, Tensor)
    if order != "every second":
        assert back.array.flags.f_contiguous == array.flags.f_contiguous


@pytest.mark.parametrize(
    ("dtype", "field"),
    [("<f4", "tensor"), ("<f2", "tensor"), ("<i4", "tensor"), ("|i1", "tensor"), ("|u1", "tensor"),
     ("<f8", "numpy"), (">f4", "numpy"), ("?", "numpy"), ("<i8", "numpy")],
)  # fmt: skip
def test_the_five_types_travel_as_tensor_buffers(dtype: str, field: str) -> None:
    assert encode(Tensor(np.zeros((2, 3), dtype))).WhichOneof("data_type") == field
    fortran = np.asfortranarray(np.zeros((2, 3), dtype))
    assert encode(Tensor(fortran)).WhichOneof("data_type") == "numpy"


def test_decoded_arrays_are_read_only_views() -> None:
    samples = crossed(VALUES[0]).samples  # type: ignore[union-attr]  # it is audio
    assert not samples.flags.writeable
    assert samples.base is not None


def test_audio_without_a_format_is_float32() -> None:
    data = np.array([0.5, -0.5], np.float32)
    message = pb.AudioBuffer(samples=data.tobytes(), sample_rate=16_000, channels=1)
    assert decode_audio_buffer(message, "buffer") == Audio(data, 16_000)


@pytest.mark.parametrize("said", [0, 4, 2])
def test_num_samples_may_count_all_channels_or_each_or_be_absent(said: int) -> None:
    message = pb.AudioBuffer(
        samples=bytes(8), sample_rate=1, channels=2, format=pb.AUDIO_FORMAT_I16, num_samples=said
    )
    assert decode_audio_buffer(message, "buffer").kind == "audio"


def test_a_format_that_was_given_is_not_called_assumed() -> None:
    message = pb.AudioBuffer(
        samples=bytes(8), sample_rate=1, channels=2, format=pb.AUDIO_FORMAT_I16, num_samples=3
    )
    with pytest.raises(InvalidValueError, match=r"samples holds 4$"):
        decode_audio_buffer(message, "buffer")


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-16-le", "latin-1", "shift_jis", ""])
def test_the_encoding_of_a_text_is_honoured(encoding: str) -> None:
    text = "日本" if "jis" in encoding else "grüße"
    data = text.encode(encoding or "utf-8")
    buffer = pb.DataBuffer(text=pb.TextBuffer(text_data=data, encoding=encoding))
    assert decode(buffer, "buffer") == Text(text)


def numpy_buffer(**fields: Any) -> pb.DataBuffer:
    return pb.DataBuffer(numpy=pb.NumpyBuffer(**fields))


def test_strides_may_be_negative_or_any_order() -> None:
    data = np.arange(6, dtype="<i8")
    reverse = numpy_buffer(data=data.tobytes(), shape=[6], dtype="<i8", strides=[-8])
    assert decode(reverse, "b") == Tensor(data[::-1])
    columns = numpy_buffer(data=data.tobytes(), shape=[2, 3], dtype="int64", strides=[8, 16])
    assert decode(columns, "b") == Tensor(data.reshape((2, 3), order="F"))


MALFORMED: dict[str, tuple[pb.DataBuffer, str]] = {
    "nothing": (pb.DataBuffer(), "got nothing"),
    "file": (pb.DataBuffer(file=pb.FileBuffer(path="/etc/passwd")), "files are not taken"),
    "control": (pb.DataBuffer(control=pb.ControlMessage()), "got nothing"),
    "no channels": (pb.DataBuffer(audio=pb.AudioBuffer(sample_rate=1)), "channels: expected"),
    "no rate": (pb.DataBuffer(audio=pb.AudioBuffer(channels=1)), "at least 1, got 0"),
    "half a frame": (
        pb.DataBuffer(audio=pb.AudioBuffer(samples=bytes(6), sample_rate=1, channels=1)),
        "got 6 bytes (format was not given, and F32 assumed)",
    ),
    "audio format": (
        pb.DataBuffer(audio=pb.AudioBuffer(sample_rate=1, channels=1, format=9)),  # type: ignore[arg-type]  # unknown on purpose
        "got 9",
    ),
    "wrong count": (
        pb.DataBuffer(
            audio=pb.AudioBuffer(samples=bytes(8), sample_rate=1, channels=1, num_samples=3)
        ),
        "says 3, but samples holds 2 (format was not given, and F32 assumed)",
    ),
    "short frame": (
        pb.DataBuffer(video=pb.VideoFrame(width=2, height=2, format=pb.PIXEL_FORMAT_RGB24)),
        "has 12 bytes, got 0",
    ),
    "pixel format": (pb.DataBuffer(video=pb.VideoFrame(format=77)), "77"),  # type: ignore[arg-type]  # unknown on purpose
    "tensor type": (pb.DataBuffer(tensor=pb.TensorBuffer()), "dtype: expected"),
    "tensor size": (
        pb.DataBuffer(
            tensor=pb.TensorBuffer(data=bytes(4), shape=[2], dtype=pb.TENSOR_DTYPE_F32)
        ),
        "expected 8 bytes",
    ),
    "vast shape": (
        pb.DataBuffer(tensor=pb.TensorBuffer(shape=[0, 2**63], dtype=pb.TENSOR_DTYPE_F32)),
        "",
    ),
    "as many as fit": (
        pb.DataBuffer(tensor=pb.TensorBuffer(shape=[2**63] * 20_000, dtype=pb.TENSOR_DTYPE_F32)),
        "shape: expected at most 64 dimensions, got 20000",
    ),
    "more strides than fit": (
        numpy_buffer(data=bytes(8), shape=[1], dtype="<f8", strides=[1] * 65), "at most 64",
    ),
    "many dimensions": (numpy_buffer(data=b"\0", shape=[1] * 80, dtype="|u1"), ""),
    "objects": (numpy_buffer(dtype="O"), "got 'O'"),
    "a structure": (numpy_buffer(dtype="f4,f4"), "numeric"),
    "strides beyond": (
        numpy_buffer(data=bytes(16), shape=[2], dtype="<f8", strides=[16]), "",
    ),
    "too few strides": (
        numpy_buffer(data=bytes(32), shape=[2, 2], dtype="<f8", strides=[8]), "expected 2",
    ),
    "a false flag": (
        numpy_buffer(data=bytes(32), shape=[2, 2], dtype="<f8", strides=[8, 16], c_contiguous=True),
        "c_contiguous",
    ),
    "not json": (pb.DataBuffer(json=pb.JsonData(json_payload="{")), "json_payload"),
    "nan": (pb.DataBuffer(json=pb.JsonData(json_payload="[NaN]")), "NaN"),
    "infinite": (pb.DataBuffer(json=pb.JsonData(json_payload="1e999")), "too large"),
    "deep json": (pb.DataBuffer(json=pb.JsonData(json_payload="[" * 100_000)), ""),
    "many digits": (pb.DataBuffer(json=pb.JsonData(json_payload="9" * 5000)), ""),
    "not utf-8": (pb.DataBuffer(text=pb.TextBuffer(text_data=b"\xff")), "utf-8"),
    "not text": (pb.DataBuffer(text=pb.TextBuffer(encoding="zip")), "got 'zip'"),
    "slow encoding": (pb.DataBuffer(text=pb.TextBuffer(encoding="idna")), "got 'idna'"),
    "nul encoding": (pb.DataBuffer(text=pb.TextBuffer(encoding="\0")), "encoding: expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_buffer_is_refused_with_place_and_reason(name: str) -> None:
    buffer, reason = MALFORMED[name]
    with pytest.raises(InvalidValueError) as caught:
        decode(buffer, "inputs['asr']")
    assert str(caught.value).startswith("inputs['asr']")
    assert reason in str(caught.value)


SMALL = st.integers(0, 5)
ANY_BYTES = st.binary(max_size=64)
SHAPES = st.lists(st.one_of(SMALL, st.integers(0, 2**64 - 1)), max_size=4)


@st.composite
def buffers(draw: st.DrawFn) -> pb.DataBuffer:
    """Buffers whose fields are drawn without regard to each other."""
    name = draw(st.sampled_from([f.name for f in pb.DataBuffer.DESCRIPTOR.oneofs[0].fields]))
    buffer = pb.DataBuffer()
    message = getattr(buffer, name)
    message.SetInParent()
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None and draw(st.booleans()):
            known = FIELDS.get((field.name, field.type))
            value = draw(BY_TYPE[field.type] if known is None else known)
            if field.is_repeated:
                getattr(message, field.name).extend(value)
            else:
                setattr(message, field.name, value)
    return buffer


F = pb.DataBuffer.DESCRIPTOR.fields[0]
BY_TYPE: dict[int, st.SearchStrategy[Any]] = {
    F.TYPE_BYTES: ANY_BYTES,
    F.TYPE_STRING: st.text(max_size=12),
    F.TYPE_UINT32: st.one_of(SMALL, st.integers(0, 2**32 - 1)),
    F.TYPE_UINT64: st.one_of(SMALL, st.integers(0, 2**64 - 1)),
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_ENUM: st.one_of(SMALL, st.just(255), st.integers(-(2**31), 2**31 - 1)),
}
FIELDS: dict[tuple[str, int], st.SearchStrategy[Any]] = {
    ("shape", F.TYPE_UINT64): SHAPES,
    ("strides", F.TYPE_INT64): st.lists(
        st.one_of(SMALL, st.integers(-(2**63), 2**63 - 1)), max_size=4
    ),
    ("dtype", F.TYPE_STRING): st.sampled_from(["<f4", "|u1", "float64", "f4,f4", "O", "m8", "🙂"]),
    ("encoding", F.TYPE_STRING): st.sampled_from(["", "utf-8", "utf-16", "rot13", "nonsense"]),
}


@given(buffers())
def test_any_buffer_is_a_value_or_an_input_error(buffer: pb.DataBuffer) -> None:
    try:
        value = decode(buffer, "buffer")
    except InputError:
        return
    assert crossed(value) == value


@given(st.binary(max_size=200))
def test_any_json_payload_is_a_value_or_an_input_error(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        decode(pb.DataBuffer(json=pb.JsonData(json_payload=text)), "buffer")
    except InputError:
        return


@pytest.mark.parametrize(
    "value",
    [
        "no value",
        Text("\ud800"),
        Json(float("nan")),
        Json({1j}),
        Control(BatchHint(-1)),
        Audio(np.zeros(1, np.int16), 2**32),
        Text("", metadata={"a": 1}),  # type: ignore[dict-item]  # wrong on purpose
    ],
)
def test_what_has_no_place_in_a_message_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValueError):
        encode(value)
