"""``DataBuffer`` and the typed values.

``decode`` and ``encode`` raise ``InvalidValueError`` for what can't be taken.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.data import (
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    Json,
    Tensor,
    Text,
    Value,
    Video,
)
from penstock.data.values import NO_METADATA
from penstock.errors import InvalidValueError
from penstock.wire.arrays import (
    decode_audio,
    decode_numpy,
    decode_tensor,
    decode_video,
    write_audio,
    write_tensor,
    write_video,
)
from penstock.wire.json_texts import JsonTexts, read_json
from penstock.wire.parted import LARGE_BYTES, PAYLOAD_FIELDS, Payload
from penstock.wire.v1 import common_pb2 as pb

_ENCODINGS = frozenset(
    {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}
    | {"ascii", "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15"}
    | {f"cp{number}" for number in range(1250, 1259)}
    | {"big5", "euc_jp", "euc_kr", "gb18030", "gbk", "koi8-r", "shift_jis"}
)
"""What Python can decode in linear time and that is an encoding of text."""


def decode(
    buffer: pb.DataBuffer,
    where: str,
    payload: Payload | None = None,
    texts: JsonTexts | None = None,
) -> Value:
    """The value in ``buffer``; ``where`` stands before the message of an ``InvalidValueError``.

    ``payload`` is what lies beside the message, where it is not in it. JSON is parsed, unless it is
    for ``texts`` to take, which raises ``ResourceLimitError`` for too much of it.
    """
    name = buffer.WhichOneof("data_type")
    if name is None:
        raise InvalidValueError(f"{where}: expected one of {', '.join(_KNOWN)}, got nothing")
    said = buffer.metadata
    metadata = dict(said) if said else NO_METADATA
    return _decoded(name, getattr(buffer, name), payload, metadata, where, texts=texts)


def decode_audio_buffer(
    message: pb.AudioBuffer, where: str, payload: Payload | None = None
) -> Value:
    """The value in an ``AudioBuffer`` that stands by itself, ``where`` errors say."""
    try:
        data = message.samples if payload is None else payload
        return decode_audio(message, data, NO_METADATA)
    except (ValueError, OverflowError) as exc:
        raise InvalidValueError(f"{where}: {exc}") from exc


def _decoded(
    name: str,
    message: Any,
    payload: Payload | None,
    metadata: Mapping[str, str],
    where: str,
    *,
    texts: JsonTexts | None = None,
) -> Value:
    try:
        field = PAYLOAD_FIELDS.get(name)
        if field is None:
            read = _DECODERS[name] if texts is None or name != "json" else texts.read
            return read(message, metadata)
        data = getattr(message, field) if payload is None else payload
        return _FROM_PAYLOAD[name](message, data, metadata)
    except (ValueError, OverflowError, RecursionError) as exc:
        raise InvalidValueError(f"{where}.{name}: {exc}") from exc


def encode(value: Value) -> pb.DataBuffer:
    """The message that holds ``value``; raises as ``encode_into`` does."""
    buffer = pb.DataBuffer()
    encode_into(buffer, value)
    return buffer


def encode_into(buffer: pb.DataBuffer, value: Value) -> None:
    """Write ``value`` where it will be sent from: its payload is copied once.

    A message that is made first and then put into another is copied again, into memory that
    nobody has touched yet, which takes far longer than the copy. Raises ``InvalidValueError``
    for what is no value, or has no place in the message.
    """
    payload = _write(buffer, value)
    if payload is not None:
        _put_in(buffer, payload)


def encode_beside(buffer: pb.DataBuffer, value: Value) -> memoryview | None:
    """The same, but for a large payload, which is given back: it belongs beside the message."""
    payload = _write(buffer, value)
    if payload is None:
        return None
    if payload.nbytes < LARGE_BYTES:
        _put_in(buffer, payload)
        return None
    return np.ascontiguousarray(payload).reshape(-1).view(np.uint8).data


def _put_in(buffer: pb.DataBuffer, payload: NDArray[Any]) -> None:
    name = buffer.WhichOneof("data_type") or ""
    setattr(getattr(buffer, name), PAYLOAD_FIELDS[name], payload.tobytes())


def _write(buffer: pb.DataBuffer, value: Value) -> NDArray[Any] | None:
    """Write all but the payload, and give that, in C order; None where the kind has none."""
    write = _WRITERS.get(type(value))
    if write is None:
        known = ", ".join(kind.__name__ for kind in _WRITERS)
        raise InvalidValueError(f"expected one of {known}, got {type(value).__name__}")
    try:
        payload = write(value, buffer)
        if value.metadata:
            buffer.metadata.update(value.metadata)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise InvalidValueError(f"a value of kind {value.kind} can't be sent: {exc}") from exc
    return payload


def _decode_text(message: pb.TextBuffer, metadata: Mapping[str, str]) -> Text:
    text = message.text_data.decode(_encoding(message.encoding))
    return Text(text, message.language, message.channel, metadata)


def _encoding(name: str) -> str:
    if not name:
        return "utf-8"
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        known = ""
    if known not in _ENCODINGS:
        raise ValueError(f"encoding: expected one such as utf-8 or utf-16-le, got {name[:80]!r}")
    return known


def _decode_binary(message: pb.BinaryBuffer, data: Payload, metadata: Mapping[str, str]) -> Binary:
    plain = Binary.from_bytes(data, message.mime_type)
    return Binary(plain.data, plain.mime_type, metadata) if metadata else plain


def _decode_control(message: pb.ControlMessage, metadata: Mapping[str, str]) -> Control:
    said: CancelSpeculation | BatchHint | DeadlineWarning
    match message.WhichOneof("message_type"):
        case "cancel_speculation":
            span = message.cancel_speculation
            said = CancelSpeculation(span.from_timestamp, span.to_timestamp)
        case "batch_hint":
            said = BatchHint(message.batch_hint.suggested_batch_size)
        case "deadline_warning":
            said = DeadlineWarning(message.deadline_warning.deadline_us)
        case _:
            raise ValueError(
                "expected cancel_speculation, batch_hint or deadline_warning, got nothing"
            )
    return Control(said, message.segment_id, message.timestamp_ms, message.metadata, metadata)


def _refuse_file(_message: pb.FileBuffer, _metadata: Mapping[str, str]) -> NoReturn:
    raise ValueError("files are not taken: the service opens none; send the bytes as binary")


def _write_json(value: Json, buffer: pb.DataBuffer) -> None:
    text = value.value
    if isinstance(text, msgspec.Raw):
        text = bytes(text).decode()
    else:
        text = json.dumps(text, allow_nan=False, separators=(",", ":"))
    buffer.json.json_payload = text
    buffer.json.schema_type = value.schema_type


def _write_text(value: Text, buffer: pb.DataBuffer) -> None:
    buffer.text.text_data = value.text.encode()
    buffer.text.encoding = "utf-8"
    buffer.text.language = value.language
    buffer.text.channel = value.channel


def _write_binary(value: Binary, buffer: pb.DataBuffer) -> NDArray[Any]:
    buffer.binary.mime_type = value.mime_type
    return value.data


def _write_control(value: Control, buffer: pb.DataBuffer) -> None:
    message = buffer.control
    message.segment_id = value.segment_id
    message.timestamp_ms = value.timestamp_ms
    message.metadata = value.message_metadata
    match value.message:
        case CancelSpeculation(start, end):
            message.cancel_speculation.from_timestamp = start
            message.cancel_speculation.to_timestamp = end
            message.cancel_speculation.SetInParent()
        case BatchHint(size):
            message.batch_hint.suggested_batch_size = size
            message.batch_hint.SetInParent()
        case DeadlineWarning(deadline_us):
            message.deadline_warning.deadline_us = deadline_us
            message.deadline_warning.SetInParent()


_FROM_PAYLOAD: dict[str, Callable[[Any, Payload, Mapping[str, str]], Value]] = {
    "audio": decode_audio,
    "video": decode_video,
    "tensor": decode_tensor,
    "binary": _decode_binary,
    "numpy": decode_numpy,
}
_DECODERS: dict[str, Callable[[Any, Mapping[str, str]], Value]] = {
    "json": read_json,
    "text": _decode_text,
    "control": _decode_control,
    "file": _refuse_file,
}
_WRITERS: dict[type, Callable[[Any, pb.DataBuffer], NDArray[Any] | None]] = {
    Audio: write_audio,
    Video: lambda value, buffer: write_video(value, buffer.video),
    Tensor: write_tensor,
    Json: _write_json,
    Text: _write_text,
    Binary: _write_binary,
    Control: _write_control,
}
_KNOWN = tuple(field.name for field in pb.DataBuffer.DESCRIPTOR.oneofs_by_name["data_type"].fields)
