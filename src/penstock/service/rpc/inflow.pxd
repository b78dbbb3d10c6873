from libc.stdint cimport uint32_t


cdef struct Head:
    Py_ssize_t size
    int kind
    int flags
    uint32_t stream


cdef class Taker:
    cdef bint take_frame(self, int kind, int flags, uint32_t stream, bytes payload) except -1
    cdef int refuse_frame(self) except -1


cdef class Inflow:
    cdef object __weakref__
    cdef public double wait_until
    cdef object _loop
    cdef object _turnstile
    cdef Taker _taker
    cdef bytes _rest
    cdef object _going_on
    cdef bint _waits
    cdef bint _is_let_through
    cdef object _transport

    cpdef int add(self, bytes data) except -1
    cdef bint _given(self, Head head, const unsigned char* payload) except -1
    cdef int _refuse(self) except -1
    cdef Py_ssize_t _complete(self, bytes data) except -1
    cdef double _wait_s(self) except? -1
    cdef bint _holds_back(self, bytes data, Py_ssize_t at) except -1
    cdef bint _may_begin(self) except -1
    cdef int _pause(self, bytes rest, double wait_s=*) except -1
    cdef int _await_turn(self, bytes rest) except -1
    cdef bint _hold(self, bytes rest) except -1
