from libc.stdint cimport uint64_t


cdef class Numbering:
    cdef bint _is_silent
    cdef bint _by_stream
    cdef bint _by_source
    cdef object _in_stream
    cdef dict _in_source
    cdef Py_ssize_t _room

    cpdef object take(self, uint64_t sequence, sources)
    cdef int _note(self, sources, number) except -1
