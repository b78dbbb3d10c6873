"""How much of a value is its payload, which each message is asked wherever it comes by. Compiled."""

import msgspec

from numpy cimport PyArray_NBYTES, import_array, ndarray

from penstock.data.values import Audio, Binary, Json, Tensor, Text, Video

import_array()
cdef object _Audio = Audio


cpdef Py_ssize_t payload_bytes(value) except -1:
    """Bytes of the value's array, or of its text in UTF-8; 0 for control, and for JSON once parsed.

    So much of a message is its payload, in shared memory and elsewhere: ``max_message_bytes``
    bounds that. What a value takes besides is for ``held_bytes``.
    """
    if type(value) is _Audio:
        return PyArray_NBYTES(<ndarray?>value.samples)
    count = _PAYLOADS.get(type(value))
    return 0 if count is None else count(value)


def _utf8_bytes(text):
    return len(text) if text.isascii() else len(text.encode())


_PAYLOADS = {
    Video: lambda video: video.pixels.nbytes,
    Tensor: lambda tensor: tensor.array.nbytes,
    Binary: lambda binary: binary.data.nbytes,
    Text: lambda text: _utf8_bytes(text.text),
    Json: lambda json: len(json.value) if type(json.value) is msgspec.Raw else 0,
}
