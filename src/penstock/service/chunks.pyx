"""A client's chunk as the values that it brings. Compiled."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from penstock.executors.multiprocess.transport.clock cimport now_ns
from penstock.wire.speech cimport SpeechRequest

from penstock.data import held_bytes
from penstock.errors import InputError
from penstock.wire.buffers import decode, decode_audio_buffer
from penstock.wire.json_texts import JsonTexts
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import streaming_pb2 as pb

Chunk = pb.DataChunk | pb.AudioChunk | SpeechRequest
cdef str _BUFFER = "data_chunk.buffer"
cdef str _AUDIO = "audio_chunk.buffer"
cdef uint64_t _MAX_TIMESTAMP_MS = (1 << 63) // 1000 - 1


@cython.final
cdef class Inputs:
    """Values by node ID (empty: the only source), with their place in the stream.

    ``sequence`` is None where the client gave it no number, ``entered_ns`` is when they came, in
    ``time.perf_counter_ns``.
    """

    def __init__(
        self, tuple values not None, sequence, uint64_t timestamp_ms, int64_t entered_ns=0
    ):
        _fill(self, values, sequence, timestamp_ms, entered_ns)

    @property
    def nbytes(self):
        """What they take in memory, for the bound of the inbox: their ``held_bytes``, and names.

        Nobody has looked yet whether there are such nodes.
        """
        return sum([held_bytes(value) + len(node_id) for node_id, value in self.values])


@cython.final
cdef class Part:
    """One buffer of a chunk: the node that it is for, as the client says, and where it stands."""

    def __init__(self, str node_id not None, buffer, str where not None):
        self.node_id = node_id
        self.buffer = buffer
        self.where = where


cpdef object chunk_of(request):
    """The chunk that a request is, or has in it; None where that is something else."""
    if type(request) is SpeechRequest:
        return request
    message = request.message
    found = message.WhichOneof("request")
    if found == "data_chunk":
        return message.data_chunk
    return message.audio_chunk if found == "audio_chunk" else None


cpdef list parts_of(chunk):
    """A chunk's own buffer, if it has one or no other, and those that are named.

    Speech has none: it has been read.
    """
    if type(chunk) is SpeechRequest:
        return []
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


cdef object sources_of(chunk, list parts):
    """The nodes that a chunk of these parts is for, as the client says."""
    if type(chunk) is SpeechRequest:
        return ((<SpeechRequest>chunk).node_id,)
    return [(<Part>part).node_id for part in parts]


cpdef Inputs decode_chunk(chunk, list parts, sequence, uint64_t largest, payload=None):
    """The values of a chunk of these parts; the ``payload`` of its own buffer may lie beside it.

    JSON stays text, each with at most ``largest`` bytes. Raises ``InputError`` for what is no
    value, or comes from too far in the future, and ``ResourceLimitError`` for a text that is too
    long.
    """
    cdef int64_t entered_ns = now_ns()
    cdef Inputs inputs = Inputs.__new__(Inputs)
    cdef SpeechRequest speech
    if type(chunk) is SpeechRequest:
        speech = chunk
        values = ((speech.node_id, speech.value),)
        return _fill(inputs, values, sequence, _plausible(speech.timestamp_ms), entered_ns)
    timestamp_ms = _plausible(chunk.timestamp_ms)
    texts = JsonTexts(largest)
    values = tuple([((<Part>part).node_id, _value(part, texts, payload)) for part in parts])
    return _fill(inputs, values, sequence, timestamp_ms, entered_ns)


cdef Inputs _fill(
    Inputs inputs, tuple values, sequence, uint64_t timestamp_ms, int64_t entered_ns
):
    inputs.values = values
    inputs.sequence = sequence
    inputs.timestamp_ms = timestamp_ms
    inputs.entered_ns = entered_ns
    return inputs


cdef uint64_t _plausible(uint64_t timestamp_ms) except? 0:
    if timestamp_ms > _MAX_TIMESTAMP_MS:
        raise InputError(f"timestamp_ms: {timestamp_ms} is too far in the future")
    return timestamp_ms


cdef object _value(Part part, texts, payload):
    if isinstance(part.buffer, common.AudioBuffer):
        return decode_audio_buffer(part.buffer, part.where, payload)
    beside = payload if part.where is _BUFFER else None
    return decode(part.buffer, part.where, beside, texts)
