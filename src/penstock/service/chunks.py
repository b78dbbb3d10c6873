"""A client's chunk as the values that it brings."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from typing import TypeAlias

import msgspec

from penstock.data import Value, held_bytes
from penstock.errors import InputError
from penstock.wire.buffers import decode, decode_audio_buffer
from penstock.wire.json_texts import JsonTexts
from penstock.wire.speech import SpeechRequest
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import streaming_pb2 as pb

Chunk: TypeAlias = pb.DataChunk | pb.AudioChunk | SpeechRequest
_BUFFER, _AUDIO = "data_chunk.buffer", "audio_chunk.buffer"
_MAX_TIMESTAMP_MS = (1 << 63) // 1000 - 1


class Inputs(msgspec.Struct, frozen=True):
    """Values by node ID (empty: the only source), with their place in the stream.

    ``sequence`` is None where the client gave it no number, ``entered_ns`` is when they came, in
    ``time.perf_counter_ns``.
    """

    values: tuple[tuple[str, Value], ...]
    sequence: int | None
    timestamp_ms: int
    entered_ns: int = 0

    @property
    def nbytes(self) -> int:
        """What they take in memory, their ``held_bytes``, for the bound of the inbox."""
        return sum(held_bytes(value) for _, value in self.values)


class Part(msgspec.Struct, frozen=True):
    """One buffer of a chunk: the node that it is for, as the client says, and where it stands."""

    node_id: str
    buffer: common.DataBuffer | common.AudioBuffer | SpeechRequest
    where: str


def parts_of(chunk: Chunk) -> list[Part]:
    """A chunk's own buffer, if it has one or no other, and those that are named."""
    if isinstance(chunk, SpeechRequest):
        return [Part(chunk.node_id, chunk, chunk.kind)]
    if isinstance(chunk, pb.AudioChunk):
        return [Part(chunk.node_id, chunk.buffer, _AUDIO)]
    named = chunk.named_buffers
    if not named:
        return [Part(chunk.node_id, chunk.buffer, _BUFFER)]
    own = [Part(chunk.node_id, chunk.buffer, _BUFFER)] if chunk.HasField("buffer") else []
    return own + [
        Part(node_id, buffer, f"data_chunk.named_buffers[{node_id!r}]")
        for node_id, buffer in named.items()
    ]


def decode_chunk(
    chunk: Chunk,
    parts: Sequence[Part],
    sequence: int | None,
    texts: JsonTexts,
    payload: memoryview | None = None,
) -> Inputs:
    """The values of a chunk of these parts; the ``payload`` of its own buffer may lie beside it.

    JSON as ``texts``. Raises ``InputError`` for what is no value, or comes from too far in the
    future, and ``ResourceLimitError`` for a text that is too long.
    """
    entered_ns, timestamp_ms = perf_counter_ns(), chunk.timestamp_ms
    if timestamp_ms > _MAX_TIMESTAMP_MS:
        raise InputError(f"timestamp_ms: {timestamp_ms} is too far in the future")
    values = [(part.node_id, _value(part, texts, payload)) for part in parts]
    return Inputs(tuple(values), sequence, timestamp_ms, entered_ns)


def _value(part: Part, texts: JsonTexts, payload: memoryview | None) -> Value:
    buffer, where = part.buffer, part.where
    if isinstance(buffer, SpeechRequest):
        return buffer.value
    if isinstance(buffer, common.AudioBuffer):
        return decode_audio_buffer(buffer, where, payload)
    return decode(buffer, where, payload if where is _BUFFER else None, texts)
