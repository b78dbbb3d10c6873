"""Messages as they stood in a ring, and what arrays their descriptions stand for."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from numpy cimport npy_intp

from penstock.executors.multiprocess.transport.envelope cimport INLINE_PAYLOAD, Envelope

from penstock.executors.multiprocess.transport.frames import KINDS

cdef int _KINDS = len(KINDS)


@cython.final
@cython.freelist(128)
cdef class Arrival:
    """A message as it stood in the ring."""


cdef Arrival arrival_of(
    const unsigned char* record, size_t nbytes, uint64_t expected, size_t max_message_bytes
):
    """A copy of the record, which its producer could still write to.

    Raises ``ValueError`` for what is no message, or not the ``expected``-th.
    """
    cdef Arrival arrival = Arrival.__new__(Arrival)
    cdef Envelope* envelope = &arrival.envelope
    cdef size_t announced
    if nbytes < sizeof(Envelope):
        raise ValueError(f"an envelope has {sizeof(Envelope)} bytes, got {nbytes}")
    memcpy(envelope, record, sizeof(Envelope))
    if envelope.kind >= _KINDS:
        raise ValueError(f"unknown kind of data {envelope.kind}")
    announced = sizeof(Envelope) + envelope.meta_bytes
    if envelope.length > max_message_bytes:
        raise ValueError(f"its payload has {envelope.length} bytes, more than a message may")
    if envelope.flags & INLINE_PAYLOAD:
        announced += envelope.length
    if nbytes != announced:
        raise ValueError(f"a record of {announced} bytes was announced, got {nbytes}")
    if envelope.lane_sequence != expected:
        raise ValueError(f"expected message {expected}, got {envelope.lane_sequence}")
    record += sizeof(Envelope)
    arrival.meta = PyBytes_FromStringAndSize(<const char*>record, envelope.meta_bytes)
    if envelope.flags & INLINE_PAYLOAD:
        record += envelope.meta_bytes
        arrival.payload = PyBytes_FromStringAndSize(<const char*>record, envelope.length)
    return arrival


@cython.final
cdef class Form:
    """What arrays of one description look like, and how to make values of them."""

    def __init__(self, int kind, bytes meta, read):
        cdef int axis
        self.kind = kind
        self.meta = meta
        self.element, shape, self.fortran, self.build = read(KINDS[kind], meta)
        self.dimensions = len(shape)
        if self.dimensions > MOST_DIMENSIONS:
            raise ValueError(f"no array has {self.dimensions} dimensions")
        self.free_axis = -1
        row_bytes = self.element.itemsize
        for axis, extent in enumerate(shape):
            if extent < 0:
                if self.free_axis >= 0:
                    raise ValueError(f"no array has the shape {shape}")
                self.free_axis = axis
            else:
                self.shape[axis] = extent
                row_bytes *= extent
        self.row_bytes = row_bytes

    cdef npy_intp* fitted(self, size_t nbytes) except NULL:
        """The extents of an array that fills ``nbytes``; raises ``ValueError`` for none."""
        cdef bint fits
        if self.free_axis < 0:
            fits = nbytes == self.row_bytes
        else:
            fits = self.row_bytes > 0 and nbytes % self.row_bytes == 0
        if not fits:
            raise ValueError(f"a payload of {nbytes} bytes is no whole array of its description")
        if self.free_axis >= 0:
            self.shape[self.free_axis] = nbytes // self.row_bytes
        return self.shape
