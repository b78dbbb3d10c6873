from libc.stdint cimport uint64_t


cdef class Pulse:
    cdef readonly object page
    cdef readonly Py_ssize_t at
    cdef uint64_t* _method
    cdef uint64_t* _began

    cpdef void show(self, uint64_t since_ns) noexcept
