"""A message read or written in parts is the one that protobuf makes of the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.data import Audio, Binary, PixelFormat, Tensor, Text, Value, Video
from penstock.session import TapEvent
from penstock.wire.buffers import decode, encode, encode_beside
from penstock.wire.control import tapped
from penstock.wire.parted import (
    LARGE_BYTES,
    PAYLOAD_FIELDS,
    Parted,
    read_request,
    read_response,
    write_event,
    write_request,
    write_response,
)
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import streaming_pb2 as pb

BYTES = np.resize(np.arange(251, dtype=np.uint8), LARGE_BYTES)
LARGE: list[Value] = [
    Audio(BYTES.view(np.int16).reshape(-1, 2), 48_000, {"who": "anna"}, b"{}"),
    Video(BYTES, 256, LARGE_BYTES // 256, PixelFormat.GRAY8, frame_number=7, is_keyframe=True),
    Tensor(BYTES.view(np.float32).reshape(2, -1), "NC"),
    Tensor(BYTES.view(np.int64).reshape(4, -1).T),
    Tensor(BYTES.reshape(2, -1)[:, ::-1].repeat(2, axis=0)[::2]),
    Binary(BYTES, "application/x", {"ü": "✓"}),
]
PAYLOAD = BYTES.tobytes()


def whole(message: Any, payload: memoryview | None, buffer: Any) -> Any:
    """The message with its payload where protobuf has it."""
    kind = buffer if isinstance(buffer, common.AudioBuffer) else chosen(buffer)
    if payload is not None and kind is not None:
        setattr(kind, PAYLOAD_FIELDS[kind_name(kind)], bytes(payload))
    return message


def chosen(buffer: common.DataBuffer) -> Any:
    name = buffer.WhichOneof("data_type")
    return getattr(buffer, name) if name in PAYLOAD_FIELDS else None


def kind_name(message: Message) -> str:
    fields = common.DataBuffer.DESCRIPTOR.fields
    return next(field.name for field in fields if field.message_type is message.DESCRIPTOR)


def joined_request(parted: Parted[pb.StreamRequest]) -> pb.StreamRequest:
    message = parted.message
    name = message.WhichOneof("request")
    if name not in ("data_chunk", "audio_chunk"):
        return message
    chunk = getattr(message, name)
    return whole(message, parted.payload, chunk.buffer) if chunk.HasField("buffer") else message


def outcome(read: Callable[[bytes], Any], data: bytes) -> bytes | str:
    """What is read, in a form that can be compared; or that it can't be."""
    try:
        return read(data).SerializeToString(deterministic=True)
    except DecodeError:
        return "refused"


def assert_same(data: bytes) -> None:
    ours = outcome(lambda one: joined_request(read_request(one)), data)
    assert ours == outcome(pb.StreamRequest.FromString, data)


@pytest.mark.parametrize("value", LARGE, ids=lambda value: value.kind)
def test_a_large_value_goes_beside_its_message_and_back(value: Value) -> None:
    request = pb.StreamRequest()
    chunk = request.data_chunk
    chunk.node_id, chunk.sequence, chunk.timestamp_ms = "nöde", 3, 1 << 60
    payload = encode_beside(chunk.buffer, value)
    assert payload is not None
    assert request.ByteSize() < 200
    sent = write_request(Parted(request, payload))

    plain = pb.StreamRequest(data_chunk={"node_id": "nöde", "sequence": 3, "timestamp_ms": 1 << 60})
    plain.data_chunk.buffer.CopyFrom(encode(value))
    assert pb.StreamRequest.FromString(sent) == plain

    message, payload = read_request(sent)
    assert payload is not None
    assert message.ByteSize() < 200
    assert decode(message.data_chunk.buffer, "", payload) == value


@pytest.mark.parametrize("value", LARGE, ids=lambda value: value.kind)
def test_a_large_result_goes_the_same_way(value: Value) -> None:
    response = pb.StreamResponse(result={"sequence": 9, "part": 2, "processing_time_ms": 0.5})
    payload = encode_beside(response.result.data_outputs["sink"], value)
    sent = write_response(Parted(response, payload))
    plain = pb.StreamResponse(result={"sequence": 9, "part": 2, "processing_time_ms": 0.5})
    plain.result.data_outputs["sink"].CopyFrom(encode(value))
    assert pb.StreamResponse.FromString(sent) == plain

    message, payload = read_response(sent)
    assert payload is not None
    assert decode(message.result.data_outputs["sink"], "", payload) == value


@pytest.mark.parametrize("value", LARGE, ids=lambda value: value.kind)
def test_a_large_output_that_is_shown_or_asked_about_goes_the_same_way(value: Value) -> None:
    addr = control.ControlAddress(node_id="nöde")
    event = TapEvent("nöde", value, 3, 2, 7, 5)
    parted = tapped(addr, event)
    assert parted.message.ByteSize() < 200
    plain = control.TapEvent(addr=addr, lost=5, sequence=3, part=2, timestamp_us=7)
    plain.data.CopyFrom(encode(value))
    assert control.ControlEvent.FromString(write_event(parted)).tap == plain

    asked = control.ControlEvent(intercept_request={"addr": addr, "correlation_id": 4})
    payload = encode_beside(asked.intercept_request.data, value)
    sent = write_event(Parted(asked, payload))
    request = control.InterceptRequest(addr=addr, correlation_id=4, data=encode(value))
    assert control.ControlEvent.FromString(sent).intercept_request == request


def test_an_audio_chunk_has_its_payload_one_message_further_out() -> None:
    audio = common.AudioBuffer(samples=PAYLOAD, sample_rate=8000, channels=1)
    request = pb.StreamRequest(audio_chunk=pb.AudioChunk(node_id="a", buffer=audio, sequence=1))
    parted = read_request(request.SerializeToString())
    assert bytes(parted.payload or b"") == PAYLOAD
    assert parted.message.audio_chunk.buffer.sample_rate == 8000
    assert_same(request.SerializeToString())


def test_what_is_small_or_has_no_payload_stays_whole() -> None:
    small = Binary(BYTES[:-1])
    text = Text("x" * LARGE_BYTES)
    for value in (small, text):
        assert encode_beside(common.DataBuffer(), value) is None
        request = pb.StreamRequest(data_chunk=pb.DataChunk(buffer=encode(value)))
        parted = read_request(request.SerializeToString())
        assert parted == Parted(request)


def test_of_several_outputs_none_lies_beside_the_message() -> None:
    response = pb.StreamResponse()
    for name in ("a", "b"):
        response.result.data_outputs[name].binary.data = PAYLOAD
    assert read_response(response.SerializeToString()) == Parted(response)


def field(number: int, content: bytes) -> bytes:
    """A field with a length, the tag and the length as short as can be."""
    return number_bytes(number << 3 | 2) + number_bytes(len(content)) + content


def number_bytes(number: int, *, spare: int = 0) -> bytes:
    """A varint, with so many bytes more than it needs."""
    rest, encoded = number, bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    for _ in range(spare):
        encoded[-1] |= 0x80
        encoded.append(0)
    return bytes(encoded)


BINARY = field(1, PAYLOAD) + field(2, b"x/y")
CHUNK = field(1, b"node") + field(2, field(6, BINARY))
ODD = {
    "buffer twice": field(2, CHUNK + field(2, field(6, field(2, b"z")))),
    "payload twice": field(2, field(2, field(6, BINARY + field(1, b"last")))),
    "payload twice, the last one large": field(2, field(2, field(6, field(1, b"") + BINARY))),
    "two kinds": field(2, field(2, field(6, BINARY) + field(1, field(1, PAYLOAD)))),
    "a kind, then text": field(2, field(2, field(6, BINARY) + field(5, field(1, b"t")))),
    "text, then a kind": field(2, field(2, field(5, field(1, b"t")) + field(6, BINARY))),
    "both chunks": field(2, CHUNK) + field(3, field(1, b"a") + field(2, field(1, PAYLOAD))),
    "a chunk, then control": field(2, CHUNK) + field(4, b"\x08\x01"),
    "a chunk, then init": field(2, CHUNK) + field(1, b""),
    "two chunks": field(2, CHUNK) + field(2, field(1, b"other")),
    "unknown fields": field(2, CHUNK + field(99, b"?") + b"\x9d\x06abcd\x99\x06abcdefgh"),
    "a group": field(2, CHUNK + b"\x9b\x06\x9c\x06"),
    "a buffer that is a number": field(2, CHUNK + b"\x10\x01"),
    "an unending group": field(2, CHUNK + b"\x9b\x06"),
    "a number without an end": field(2, CHUNK + b"\x20" + b"\xff" * 11),
    "the number of no field": field(2, CHUNK + field(0, b"")),
    "the name is no text": field(2, field(1, b"\xff") + field(2, field(6, BINARY))),
    "spare bytes in a length": b"\x12" + number_bytes(len(CHUNK), spare=2) + CHUNK,
    "spare bytes in a tag": number_bytes(2 << 3 | 2, spare=1) + number_bytes(len(CHUNK)) + CHUNK,
    "cut off": field(2, CHUNK)[:-1],
    "longer than it is": b"\x12" + number_bytes(len(CHUNK) + 1) + CHUNK,
    "named buffers, too": field(2, CHUNK + field(3, field(1, b"b") + field(2, field(6, BINARY)))),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_messages_are_what_protobuf_makes_of_them(name: str) -> None:
    assert_same(ODD[name])


@settings(max_examples=300)
@given(st.data())
def test_any_change_to_a_message_changes_what_protobuf_would(data: st.DataObject) -> None:
    """Bytes around the payload are replaced, put in and taken out."""
    message = bytearray(field(2, CHUNK + field(3, field(1, b"b")) + b"\x20\x05\x28\x07"))
    payload_at = message.index(PAYLOAD)
    spots = [*range(payload_at), *range(payload_at + len(PAYLOAD), len(message))]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(spots))
        taken = data.draw(st.integers(0, 2))
        message[at : at + taken] = data.draw(st.binary(max_size=3))
    assert_same(bytes(message))


_small = st.recursive(
    st.binary(max_size=8),
    lambda inner: st.lists(st.builds(field, st.integers(1, 11), inner), max_size=4).map(b"".join),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["kind", "rest"]), max_size=4), _small, st.integers(1, 11))
def test_fields_in_any_order_and_number(order: list[str], rest: bytes, kind: int) -> None:
    buffer = b"".join(field(kind, BINARY) if one == "kind" else rest for one in order)
    assert_same(field(2, field(2, buffer) + rest))
    assert_same(field(3, field(2, buffer)) + rest)
