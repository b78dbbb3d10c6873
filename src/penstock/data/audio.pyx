"""What each message of a stream of speech comes by several times: how audio is made. Compiled."""

import numpy as np
from msgspec.structs import force_setattr

from numpy cimport PyArray_DESCR, PyArray_DIM, PyArray_NDIM, import_array, ndarray

cdef frozenset _DTYPES = frozenset(map(np.dtype, (np.float32, np.int16, np.int32)))
cdef Py_ssize_t _MOST_CHANNELS = 128
cdef Py_ssize_t _FEW = 8
import_array()


cdef class AudioBuilder:
    """Makes audio of samples; all else of it is always the same."""

    cdef object _make
    cdef object _sample_rate_hz
    cdef object _metadata
    cdef object _metadata_json

    def __init__(self, make, sample_rate_hz, metadata, metadata_json):
        self._make = make
        self._sample_rate_hz = sample_rate_hz
        self._metadata = metadata
        self._metadata_json = metadata_json

    def __call__(self, samples):
        return self._make(samples, self._sample_rate_hz, self._metadata, self._metadata_json)


def check_audio(self):
    """What ``Audio`` does with its fields: one-dimensional samples become mono.

    Raises ``TypeError`` for what is no array, and ``ValueError`` for one that has another shape or
    element type, and for a rate below 1 Hz.
    """
    found = self.samples
    if not isinstance(found, ndarray):
        raise TypeError(f"samples must be a numpy array, got {type(found).__name__}")
    cdef ndarray samples = found
    if PyArray_NDIM(samples) == 1:
        samples = found.reshape(-1, 1)
        force_setattr(self, "samples", samples)
    if PyArray_NDIM(samples) != 2 or not 0 < PyArray_DIM(samples, 1) <= _MOST_CHANNELS:
        _check_shape(found)
    if <object>PyArray_DESCR(samples) not in _DTYPES:
        raise ValueError(f"samples must be float32, int16 or int32, got {found.dtype}")
    if self.sample_rate_hz < 1:
        raise ValueError(f"sample_rate_hz must be at least 1, got {self.sample_rate_hz}")


cdef _check_shape(ndarray samples):
    """Raise ``ValueError``, but for one with so many samples that its channels may be meant."""
    said = f"samples must be (samples, channels), got {(<object>samples).shape}"
    if PyArray_NDIM(samples) != 2 or PyArray_DIM(samples, 1) == 0:
        raise ValueError(said)
    if 0 < PyArray_DIM(samples, 0) <= _FEW:
        raise ValueError(f"{said}: transpose what has its channels first")
