"""A client's chunk as the values that it brings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from penstock.data import Value, held_bytes
from penstock.errors import InputError
from penstock.wire.buffers import decode, decode_audio_buffer
from penstock.wire.json_texts import JsonTexts
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import streaming_pb2 as pb

Chunk: TypeAlias = pb.DataChunk | pb.AudioChunk
_BUFFER = "data_chunk.buffer"
_MAX_TIMESTAMP_MS = (1 << 64) // 1000 - 1


class Inputs(NamedTuple):
    """Values by node ID (empty: the only source), with their place in the stream.

    ``sequence`` is None where the client gave it no number.
    """

    values: tuple[tuple[str, Value], ...]
    sequence: int | None
    timestamp_ms: int

    @property
    def nbytes(self) -> int:
        """What they take in memory, their ``held_bytes``, for the bound of the inbox."""
        return sum(held_bytes(value) for _, value in self.values)


def sources_of(chunk: Chunk) -> tuple[str, ...]:
    """The nodes that a chunk is for, by the names that the client gives them."""
    if isinstance(chunk, pb.AudioChunk) or not chunk.named_buffers:
        return (chunk.node_id,)
    named = tuple(chunk.named_buffers)
    return (chunk.node_id, *named) if chunk.HasField("buffer") else named


def buffers_of(chunk: Chunk) -> Iterator[tuple[str, common.DataBuffer]]:
    """A chunk's buffers, and where in it they are; the buffer of an audio chunk is none."""
    if isinstance(chunk, pb.DataChunk):
        yield _BUFFER, chunk.buffer
        for node_id, buffer in chunk.named_buffers.items():
            yield _named(node_id), buffer


def decode_chunk(
    chunk: Chunk, sequence: int | None, texts: JsonTexts, payload: memoryview | None = None
) -> Inputs:
    """The values of a chunk, whose own buffer's ``payload`` may lie beside it; JSON as ``texts``.

    Raises ``InputError`` for what is no value, or comes from too far in the future, and
    ``ResourceLimitError`` for a text that is too long.
    """
    if chunk.timestamp_ms > _MAX_TIMESTAMP_MS:
        raise InputError(f"timestamp_ms: {chunk.timestamp_ms} is too far in the future")
    if isinstance(chunk, pb.AudioChunk):
        value = decode_audio_buffer(chunk.buffer, "audio_chunk.buffer", payload)
        values: tuple[tuple[str, Value], ...] = ((chunk.node_id, value),)
    elif not chunk.named_buffers:
        values = ((chunk.node_id, decode(chunk.buffer, _BUFFER, payload, texts)),)
    else:
        values = tuple(_values(chunk, texts, payload))
    return Inputs(values, sequence, chunk.timestamp_ms)


def _values(
    chunk: pb.DataChunk, texts: JsonTexts, payload: memoryview | None
) -> Iterator[tuple[str, Value]]:
    """Those of a chunk for several nodes."""
    if chunk.HasField("buffer"):
        yield chunk.node_id, decode(chunk.buffer, _BUFFER, payload, texts)
    for node_id, buffer in chunk.named_buffers.items():
        yield node_id, decode(buffer, _named(node_id), texts=texts)


def _named(node_id: str) -> str:
    return f"data_chunk.named_buffers[{node_id!r}]"
