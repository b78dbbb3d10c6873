from libc.stdint cimport int64_t, uint64_t


cdef class Inputs:
    cdef readonly tuple values
    cdef readonly object sequence
    cdef readonly uint64_t timestamp_ms
    cdef readonly int64_t entered_ns


cdef class Part:
    cdef readonly str node_id
    cdef readonly object buffer
    cdef readonly str where


cpdef object chunk_of(request)
cpdef list parts_of(chunk)
cpdef Inputs decode_chunk(chunk, list parts, sequence, uint64_t largest, payload=*)
cdef object sources_of(chunk, list parts)
