"""Messages whose large payload lies beside them, as it does on the wire.

protobuf copies a bytes field when it parses, again when it is read, when it is set, and when it
is serialised, mostly into memory that nobody has touched yet. Here a large payload is cut out of
what came, and put into what goes, as a view; protobuf has the rest, and so the last word on it.
What is unusual about a message it gets whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import Message

from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import streaming_pb2 as streaming

LARGE_BYTES = 128 << 10
"""From here on copying a payload takes longer than finding it."""
PAYLOAD_FIELDS: Mapping[str, str] = {
    "audio": "samples",
    "video": "pixel_data",
    "tensor": "data",
    "binary": "data",
    "numpy": "data",
}
"""Where the payload is in the message of each kind that may have a large one."""

_VARINT, _LENGTH, _LARGEST_TYPE = 0, 2, 7
_FIXED = {1: 8, 5: 4}
"""Types of fields on the wire, and the bytes of those that have always as many."""
_LONGEST_SHIFT = 63

MessageT = TypeVar("MessageT", bound=Message)
Payload: TypeAlias = bytes | memoryview


class Parted(NamedTuple, Generic[MessageT]):
    """A message; ``payload``, where there is one, belongs into the one buffer that it has."""

    message: MessageT
    payload: memoryview | None = None


class Place(NamedTuple):
    """A field that leads to the payload: into a message, unless ``inner`` is empty."""

    number: int
    inner: tuple[Place, ...] = ()


def _place(kind: type[Message], name: str, *inner: Place) -> Place:
    return Place(kind.DESCRIPTOR.fields_by_name[name].number, inner)


_AUDIO = _place(common.AudioBuffer, "samples")
_KINDS = (
    _place(common.DataBuffer, "audio", _AUDIO),
    _place(common.DataBuffer, "video", _place(common.VideoFrame, "pixel_data")),
    _place(common.DataBuffer, "tensor", _place(common.TensorBuffer, "data")),
    _place(common.DataBuffer, "binary", _place(common.BinaryBuffer, "data")),
    _place(common.DataBuffer, "numpy", _place(common.NumpyBuffer, "data")),
)
_MAP_VALUE = Place(2, _KINDS)
_IN_REQUESTS = (
    _place(streaming.StreamRequest, "data_chunk", _place(streaming.DataChunk, "buffer", *_KINDS)),
    _place(streaming.StreamRequest, "audio_chunk", _place(streaming.AudioChunk, "buffer", _AUDIO)),
)
_IN_RESPONSES = (
    _place(
        streaming.StreamResponse,
        "result",
        _place(streaming.ChunkResult, "data_outputs", _MAP_VALUE),
    ),
)
_IN_EVENTS = (
    _place(control.ControlEvent, "tap", _place(control.TapEvent, "data", *_KINDS)),
    _place(
        control.ControlEvent,
        "intercept_request",
        _place(control.InterceptRequest, "data", *_KINDS),
    ),
)


class _Unusual(Exception):
    """A message that is not written as one would, or not about one payload."""


class _Field(NamedTuple):
    """A field with a length: where it begins, where its length stands, where its content lies."""

    at: int
    length_at: int
    start: int
    end: int


class _Found(NamedTuple):
    """The messages around a payload, from the whole on; the number of its field, and the field."""

    around: list[_Field]
    number: int
    payload: _Field | None


def read_request(data: bytes) -> Parted[streaming.StreamRequest]:
    """Raises protobuf's ``DecodeError``, as ``FromString`` does."""
    return _read(data, streaming.StreamRequest.FromString, _IN_REQUESTS)


def read_response(data: bytes) -> Parted[streaming.StreamResponse]:
    """Raises protobuf's ``DecodeError``, as ``FromString`` does."""
    return _read(data, streaming.StreamResponse.FromString, _IN_RESPONSES)


def write_request(parted: Parted[streaming.StreamRequest]) -> bytes:
    """The bytes of a request that has its payload in it."""
    return _written(parted, _IN_REQUESTS)


def write_response(parted: Parted[streaming.StreamResponse]) -> bytes:
    """The bytes of a response that has its payload in it."""
    return _written(parted, _IN_RESPONSES)


def write_event(parted: Parted[control.ControlEvent]) -> bytes:
    """The bytes of an event that has its payload in it."""
    return _written(parted, _IN_EVENTS)


def _read(
    data: bytes, parse: Callable[[bytes], MessageT], places: tuple[Place, ...]
) -> Parted[MessageT]:
    if len(data) < LARGE_BYTES:
        return Parted(parse(data))
    try:
        around, _, payload = _find(data, places)
    except _Unusual:
        return Parted(parse(data))
    if payload is None or payload.end - payload.start < LARGE_BYTES:
        return Parted(parse(data))
    before, after = data[around[-1].start : payload.at], data[payload.end : around[-1].end]
    message = parse(b"".join(_wrapped(data, around, before, b"", after)))
    return Parted(message, memoryview(data)[payload.start : payload.end])


def _written(parted: Parted[MessageT], places: tuple[Place, ...]) -> bytes:
    data, payload = parted.message.SerializeToString(), parted.payload
    if payload is None:
        return data
    around, number, _ = _find(data, places)
    before = bytes((number << 3 | _LENGTH,)) + _varint(len(payload))
    after = data[around[-1].start : around[-1].end]
    return b"".join(_wrapped(data, around, before, payload, after))


def _wrapped(
    data: bytes, around: list[_Field], before: bytes, payload: Payload, after: bytes
) -> tuple[bytes, Payload, bytes]:
    """The whole message with another content of the innermost: what comes before and after."""
    for outer, inner in zip(reversed(around[:-1]), reversed(around[1:]), strict=True):
        length = _varint(len(before) + len(payload) + len(after))
        before = data[outer.start : inner.length_at] + length + before
        after += data[inner.end : outer.end]
    return before, payload, after


def _find(data: bytes, places: tuple[Place, ...]) -> _Found:
    """The way to the payload; raises ``_Unusual`` where there is none, or more than one.

    Of several messages in one place protobuf makes one, with something of each.
    """
    around = [_Field(0, 0, 0, len(data))]
    while places[0].inner:
        place, field = _only(data, around[-1], places)
        if field is None:
            raise _Unusual
        around.append(field)
        places = place.inner
    place, field = _only(data, around[-1], places)
    return _Found(around, place.number, field)


def _only(data: bytes, within: _Field, places: tuple[Place, ...]) -> tuple[Place, _Field | None]:
    """The one field of a message that is in one of these places; None where none is."""
    found, field, at = places[0], None, within.start
    while at < within.end:
        tag, start = _number(data, at, within.end)
        length_at, wire_type = start, tag & 7
        if wire_type == _LENGTH:
            length, start = _number(data, start, within.end)
            end = start + length
        elif wire_type == _VARINT:
            _, end = _number(data, start, within.end)
        else:
            end = start + _FIXED.get(wire_type, len(data))
        if end > within.end or tag <= _LARGEST_TYPE:
            raise _Unusual
        for place in places:
            if place.number == tag >> 3:
                if field is not None or wire_type != _LENGTH:
                    raise _Unusual
                found, field = place, _Field(at, length_at, start, end)
        at = end
    return found, field


def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A varint in its shortest form, and where it ends; raises ``_Unusual`` for anything else."""
    number = shift = 0
    while at < end and shift < _LONGEST_SHIFT:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte or not shift:
                return number, at
            break
        shift += 7
    raise _Unusual


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
