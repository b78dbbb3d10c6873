from libc.stdint cimport uint64_t


cdef class Course:
    cdef readonly uint64_t read
    cdef uint64_t _read_before
    cdef uint64_t _stale
    cdef set _heeded

    cdef int _advance(self) except -1
    cdef bint _is_stale(self) noexcept
