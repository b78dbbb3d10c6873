from libc.stdint cimport uint64_t

from penstock.service.chunks cimport Inputs
from penstock.service.numbering cimport Numbering
from penstock.wire.codec_time cimport CodecTime


cdef class InputLimits:
    cdef uint64_t _max_samples
    cdef uint64_t _samples

    cdef int _check(self, value, uint64_t largest) except -1
    cdef int _count(self, value) except -1


cdef class Box:
    cdef public bint ended
    cdef public uint64_t turn
    cdef readonly object _chunks
    cdef public bint _is_taking

    cdef bint _is_empty(self) except -1
    cdef bint _lets_pass(self) except -1


cdef class Entry:
    cdef readonly uint64_t taken
    cdef readonly double moved_at
    cdef readonly InputLimits _limits
    cdef readonly CodecTime _codec
    cdef readonly uint64_t _largest
    cdef readonly Box _inbox
    cdef public object _session
    cdef public tuple _sources
    cdef bint _may_read_files
    cdef Numbering _numbering

    cdef void _move(self) noexcept
    cdef bint _is_free(self) except -1
    cdef int _put(self, chunk, payload) except -1
    cdef int _pass_over(self, chunk) except -1
    cdef object _number_of(self, chunk, list parts)
    cdef Inputs _decode(self, chunk, list parts, number, payload)
    cdef bint _try_send(self, Inputs inputs) except -1
    cdef int _count(self, value) except -1
    cdef object _target(self, node_id)
