from libc.stdint cimport int64_t

from penstock.service.rpc.outbox cimport Outbox, Outflow


cdef class Flow(Outflow):
    cdef public bint half_closed
    cdef public bint over
    cdef public object decode
    cdef public object encode
    cdef public object at_once
    cdef readonly Outbox _outbox
    cdef readonly object _assembly
    cdef readonly object _messages
    cdef readonly object _spoken
    cdef public object _reader
    cdef public object _fault
    cdef public object _code
    cdef public bint _began
    cdef public int64_t _held
    cdef int64_t _granted
    cdef int64_t _most
    cdef bint _has_begun
    cdef bint _compresses

    cdef bint try_spend(self, Py_ssize_t nbytes) noexcept
    cdef int take(self, bytes data) except -1
    cdef object _whole(self, bytes data)
    cdef int _take_parts(self, bytes data) except -1
    cdef int _keep(self, messages) except -1
    cdef bint _is_awaited(self) except -1
    cdef bint _try_take(self, message) except -1
    cdef int64_t _ahead(self) except? -1
    cdef int64_t _wished(self) except? -1
    cdef int _grant(self, int64_t wished) except -1
