"""Chunks of plain audio, and results that are such: what a stream of speech is made of. Compiled.

protobuf makes a dozen objects of each. Here a chunk that is written as one would is read as it
stands, and a result that has nothing to it but samples is written as protobuf would. Whatever is
unusual, too much or wrong is left to protobuf, and to what refuses it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from numpy cimport (
    NPY_ARRAY_WRITEABLE,
    PyArray_CLEARFLAGS,
    PyArray_DATA,
    PyArray_DESCR,
    PyArray_DIM,
    PyArray_EMPTY,
    PyArray_IS_C_CONTIGUOUS,
    PyArray_NBYTES,
    PyArray_SIZE,
    import_array,
    ndarray,
    npy_intp,
)

import numpy as np

from penstock.data import Audio
from penstock.wire.parted import LARGE_BYTES
from penstock.wire.v1 import common_pb2 as pb

import_array()
cdef Py_ssize_t _LARGE_BYTES = LARGE_BYTES

cdef enum:
    DOUBLE = 1
    LENGTH = 2
    CHUNK_OF_DATA = 2 << 3 | LENGTH  # in a StreamRequest
    CHUNK_OF_AUDIO = 3 << 3 | LENGTH
    NODE_ID = 1 << 3 | LENGTH  # in either
    BUFFER = 2 << 3 | LENGTH
    AUDIO = 1 << 3 | LENGTH  # in a DataBuffer
    SAMPLES = 1 << 3 | LENGTH  # in an AudioBuffer
    SAMPLE_RATE = 2 << 3
    CHANNELS = 3 << 3
    FORMAT = 4 << 3
    NUM_SAMPLES = 5 << 3
    RESULT = 2 << 3 | LENGTH  # in a StreamResponse
    SEQUENCE = 1 << 3  # in a ChunkResult
    OUTPUTS = 2 << 3 | LENGTH
    PROCESSING_TIME = 3 << 3 | DOUBLE
    TOTAL_ITEMS = 4 << 3
    PART = 100 << 3
    TIMESTAMP = 101 << 3
    KEY = 1 << 3 | LENGTH  # in an entry of a map
    VALUE = 2 << 3 | LENGTH
    LONGEST_VARINT = 10
    FORMATS = 4
    HIGHEST_32 = 0xFFFFFFFF

cdef tuple _DTYPES = (np.dtype("<f4"), np.dtype("<f4"), np.dtype("<i2"), np.dtype("<i4"))
"""By the numbers of their formats; one that isn't said is taken for F32."""
cdef int[FORMATS] _TYPES = [dtype.num for dtype in _DTYPES]
cdef uint64_t[FORMATS] _ITEM_BYTES = [dtype.itemsize for dtype in _DTYPES]
cdef dict _FORMATS = {_DTYPES[number]: number for number in (1, 2, 3)}
assert (pb.AUDIO_FORMAT_F32, pb.AUDIO_FORMAT_I16, pb.AUDIO_FORMAT_I32) == (1, 2, 3)


@cython.final
cdef class SpeechRequest:
    """A ``StreamRequest`` with a chunk of plain audio, and that chunk: it reads as they would.

    ``value`` is the audio, and ``kind`` the field of the request that it came in. It is ``Parted``
    too, with nothing beside it.
    """

    def WhichOneof(self, _name):
        return self.kind

    @property
    def message(self):
        return self

    @property
    def payload(self):
        return None


cdef struct Span:
    const uint8_t* at
    const uint8_t* end


cdef struct Found:
    # Of a chunk and its audio; a bit of ``seen`` for each field by its number.
    Span node_id
    Span samples
    uint64_t sequence
    uint64_t timestamp_ms
    uint64_t sample_rate
    uint64_t channels
    uint64_t format
    uint64_t num_samples
    uint32_t seen


def reading_speech(rest):
    """A deserializer: it gives what ``read_speech`` does, and for other requests what ``rest`` does."""

    def read(bytes data not None):
        speech = read_speech(data)
        return rest(data) if speech is None else speech

    return read


def writing_speech(rest):
    """A serializer: what ``write_speech`` gave stays as it is, and ``rest`` has the others."""

    def write(message):
        return message if type(message) is bytes else rest(message)

    return write


cpdef SpeechRequest read_speech(bytes data):
    """The request, where it is one with a chunk of plain audio that can be taken; else None."""
    cdef Found found
    cdef Span whole, chunk
    cdef uint64_t tag
    cdef SpeechRequest request
    if PyBytes_GET_SIZE(data) >= _LARGE_BYTES:
        return None
    whole.at = <const uint8_t*>PyBytes_AS_STRING(data)
    whole.end = whole.at + PyBytes_GET_SIZE(data)
    if not _number(&whole, &tag) or not _span(&whole, &chunk) or whole.at != whole.end:
        return None
    if tag == CHUNK_OF_DATA:
        kind = "data_chunk"
    elif tag == CHUNK_OF_AUDIO:
        kind = "audio_chunk"
    else:
        return None
    found.sequence = found.timestamp_ms = found.seen = 0
    found.node_id.at = found.node_id.end = chunk.at
    if not _read_chunk(&chunk, tag == CHUNK_OF_DATA, &found):
        return None
    samples = _samples(&found)
    if samples is None:
        return None
    request = SpeechRequest.__new__(SpeechRequest)
    request.kind = kind
    try:
        request.node_id = PyUnicode_DecodeUTF8(
            <const char*>found.node_id.at, found.node_id.end - found.node_id.at, NULL
        )
        request.value = Audio(samples, found.sample_rate)
    except ValueError:  # protobuf refuses the one, and the service the other
        return None
    request.sequence = found.sequence
    request.timestamp_ms = found.timestamp_ms
    return request


cdef bint _read_chunk(Span* chunk, bint is_data, Found* found) noexcept:
    """Whether it has a node's ID, audio and numbers, each once at most, and nothing else."""
    cdef uint64_t tag
    cdef uint64_t sequence = (4 if is_data else 3) << 3
    cdef Span buffer
    while chunk.at != chunk.end:
        if not _number(chunk, &tag) or tag >> 3 > 31 or found.seen >> (tag >> 3) & 1:
            return False
        found.seen |= <uint32_t>1 << (tag >> 3)
        if tag == NODE_ID:
            if not _span(chunk, &found.node_id):
                return False
        elif tag == BUFFER:
            if not _span(chunk, &buffer):
                return False
        elif tag == sequence:
            if not _number(chunk, &found.sequence):
                return False
        elif tag == sequence + 8:
            if not _number(chunk, &found.timestamp_ms):
                return False
        else:
            return False
    if not found.seen >> (BUFFER >> 3) & 1:
        return False
    if is_data and not (_number(&buffer, &tag) and tag == AUDIO and _only(&buffer)):
        return False
    return _read_audio(&buffer, found)


cdef bint _read_audio(Span* audio, Found* found) noexcept:
    cdef uint64_t tag
    cdef uint64_t* number
    found.seen = 0
    found.samples.at = found.samples.end = audio.at
    found.sample_rate = found.channels = found.format = found.num_samples = 0
    while audio.at != audio.end:
        if not _number(audio, &tag) or tag >> 3 > 31 or found.seen >> (tag >> 3) & 1:
            return False
        found.seen |= <uint32_t>1 << (tag >> 3)
        if tag == SAMPLES:
            if not _span(audio, &found.samples):
                return False
            continue
        elif tag == SAMPLE_RATE:
            number = &found.sample_rate
        elif tag == CHANNELS:
            number = &found.channels
        elif tag == FORMAT:
            number = &found.format
        elif tag == NUM_SAMPLES:
            number = &found.num_samples
        else:
            return False
        if not _number(audio, number):
            return False
    return (
        found.sample_rate <= HIGHEST_32
        and 1 <= found.channels <= HIGHEST_32
        and found.format < FORMATS
    )


cdef object _samples(Found* found):
    """Whole frames, as many as are said to be there; None for what is something else."""
    cdef uint64_t nbytes = found.samples.end - found.samples.at
    cdef uint64_t item_bytes = _ITEM_BYTES[found.format]
    cdef uint64_t count = nbytes // item_bytes
    cdef npy_intp[2] shape
    cdef ndarray samples
    if nbytes % (item_bytes * found.channels):
        return None
    if found.num_samples not in (0, count, count // found.channels):
        return None
    shape[0], shape[1] = count // found.channels, found.channels
    samples = PyArray_EMPTY(2, shape, _TYPES[found.format], 0)
    memcpy(PyArray_DATA(samples), found.samples.at, nbytes)
    PyArray_CLEARFLAGS(samples, NPY_ARRAY_WRITEABLE)
    return samples


cdef bint _only(Span* field) noexcept:
    """Whether a message has no more than this field with a length, which it is from now on."""
    cdef Span content
    if not _span(field, &content) or field.at != field.end:
        return False
    field[0] = content
    return True


cdef bint _span(Span* within, Span* content) noexcept:
    """The content of a field with a length, which stands here."""
    cdef uint64_t nbytes
    if not _number(within, &nbytes) or nbytes > <uint64_t>(within.end - within.at):
        return False
    content.at = within.at
    content.end = within.at + nbytes
    within.at = content.end
    return True


cdef bint _number(Span* within, uint64_t* number) noexcept:
    """A varint that stands here; False for none, and for one that isn't of 64 bits."""
    cdef uint64_t seven
    cdef int shift = 0
    number[0] = 0
    while within.at != within.end and shift < 7 * LONGEST_VARINT:
        seven = within.at[0] & 0x7F
        if shift == 63 and seven > 1:
            return False
        number[0] |= seven << shift
        shift += 7
        within.at += 1
        if within.at[-1] < 0x80:
            return True
    return False


cpdef bytes write_speech(output, uint64_t total_items):
    """The response with a session's output; None where that is not plain audio, or can't be sent.

    ``total_items`` are the inputs that were taken so far.
    """
    cdef ndarray samples
    cdef bytes response
    cdef const char* key
    cdef Py_ssize_t key_bytes
    cdef uint64_t nbytes, audio_bytes, buffer_bytes, entry_bytes, result_bytes, rate, format
    cdef uint64_t sequence, part, timestamp_us, channels, count
    cdef double processing_ms
    cdef uint8_t* at
    value = output.value
    if type(value) is not Audio or value.metadata or value.metadata_json is not None:
        return None
    samples = value.samples
    found = _FORMATS.get(<object>PyArray_DESCR(samples))
    nbytes = PyArray_NBYTES(samples)
    if found is None or nbytes >= <uint64_t>_LARGE_BYTES or output.timestamp_us < 0:
        return None
    if value.sample_rate_hz >> 32:
        return None
    if not PyArray_IS_C_CONTIGUOUS(samples):
        samples = np.ascontiguousarray(samples)
    key = PyUnicode_AsUTF8AndSize(output.node_id, &key_bytes)
    sequence, part, timestamp_us = output.sequence, output.part, output.timestamp_us
    processing_ms = 0 if output.latency_s is None else output.latency_s * 1e3
    rate, format = value.sample_rate_hz, found
    channels, count = PyArray_DIM(samples, 1), PyArray_SIZE(samples)
    audio_bytes = (
        (_field_bytes(nbytes) if nbytes else 0)
        + _number_bytes(rate, 1)
        + _number_bytes(channels, 1)
        + _number_bytes(format, 1)
        + _number_bytes(count, 1)
    )
    buffer_bytes = _field_bytes(audio_bytes)
    entry_bytes = _field_bytes(key_bytes) + _field_bytes(buffer_bytes)
    result_bytes = (
        _number_bytes(sequence, 1)
        + _field_bytes(entry_bytes)
        + (1 + sizeof(double) if processing_ms else 0)
        + _number_bytes(total_items, 1)
        + _number_bytes(part, 2)
        + _number_bytes(timestamp_us, 2)
    )
    response = PyBytes_FromStringAndSize(NULL, _field_bytes(result_bytes))
    at = <uint8_t*>PyBytes_AS_STRING(response)
    at = _put_head(at, RESULT, result_bytes)
    at = _put_number(at, SEQUENCE, sequence)
    at = _put_head(at, OUTPUTS, entry_bytes)
    at = _put_bytes(at, KEY, key, key_bytes)
    at = _put_head(at, VALUE, buffer_bytes)
    at = _put_head(at, AUDIO, audio_bytes)
    if nbytes:
        at = _put_bytes(at, SAMPLES, PyArray_DATA(samples), nbytes)
    at = _put_number(at, SAMPLE_RATE, rate)
    at = _put_number(at, CHANNELS, channels)
    at = _put_number(at, FORMAT, format)
    at = _put_number(at, NUM_SAMPLES, count)
    if processing_ms:
        at = _put(at, PROCESSING_TIME)
        memcpy(at, &processing_ms, sizeof(double))
        at += sizeof(double)
    at = _put_number(at, TOTAL_ITEMS, total_items)
    at = _put_number(at, PART, part)
    _put_number(at, TIMESTAMP, timestamp_us)
    return response


cdef uint64_t _length(uint64_t number) noexcept:
    """The bytes of a varint."""
    cdef uint64_t length = 1
    while number >= 0x80:
        number >>= 7
        length += 1
    return length


cdef uint64_t _number_bytes(uint64_t number, int tag_bytes) noexcept:
    """The bytes of a field that is left out where it is 0."""
    return tag_bytes + _length(number) if number else 0


cdef uint64_t _field_bytes(uint64_t nbytes) noexcept:
    """The bytes of a field with so long a content."""
    return 1 + _length(nbytes) + nbytes


cdef uint8_t* _put(uint8_t* at, uint64_t number) noexcept:
    while number >= 0x80:
        at[0] = number & 0x7F | 0x80
        at += 1
        number >>= 7
    at[0] = number
    return at + 1


cdef uint8_t* _put_number(uint8_t* at, uint64_t tag, uint64_t number) noexcept:
    return _put(_put(at, tag), number) if number else at


cdef uint8_t* _put_head(uint8_t* at, uint64_t tag, uint64_t nbytes) noexcept:
    return _put(_put(at, tag), nbytes)


cdef uint8_t* _put_bytes(uint8_t* at, uint64_t tag, const void* content, uint64_t nbytes) noexcept:
    at = _put_head(at, tag, nbytes)
    memcpy(at, content, nbytes)
    return at + nbytes
