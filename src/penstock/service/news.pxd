cdef class News:
    cdef object _waiting
    cdef Py_ssize_t _bytes

    cdef bint _is_waiting(self) except -1
