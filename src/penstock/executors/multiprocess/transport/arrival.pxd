from libc.stdint cimport uint64_t
from numpy cimport dtype, npy_intp

from penstock.executors.multiprocess.transport.envelope cimport Envelope

cdef enum:
    MOST_DIMENSIONS = 64


cdef class Arrival:
    cdef Envelope envelope
    cdef bytes meta
    cdef bytes payload


cdef class Form:
    cdef int kind
    cdef bytes meta
    cdef object build
    cdef dtype element
    cdef bint fortran
    cdef int dimensions
    cdef npy_intp[MOST_DIMENSIONS] shape
    cdef int free_axis
    cdef size_t row_bytes

    cdef npy_intp* fitted(self, size_t nbytes) except NULL


cdef Arrival arrival_of(
    const unsigned char* record, size_t nbytes, uint64_t expected, size_t max_message_bytes
)
