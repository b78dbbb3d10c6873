from libc.stdint cimport int64_t, uint32_t

from penstock.service.rpc.lead cimport Lead


cdef class Outflow:
    cdef readonly uint32_t stream
    cdef readonly Lead lead
    cdef readonly object unsent


cdef class Outbox:
    cdef public bint blocked
    cdef public bint has_sent
    cdef readonly bint has_been_full
    cdef public int64_t call_window
    cdef int64_t _window
    cdef int64_t _most_payload
    cdef dict _senders
    cdef list _frames
    cdef int64_t _nbytes
    cdef int64_t _unheard_bytes
    cdef bint _flush_due
    cdef object _asking
    cdef object _loop
    cdef object _transport

    cpdef int push(self, bytes frames) except -1
    cpdef bint send_nowait(self, Outflow call, bytes data, bint is_packed=*) except -1
    cpdef bint send(self, Outflow call, bytes data, bint is_packed=*) except -1
    cpdef bint widen(self, int64_t by, Outflow call) except -1
    cpdef int drain(self) except -1
    cpdef int flush(self) except -1
    cpdef int forget(self, Outflow call) except -1
    cdef bint _send_some(self, Outflow call) except -1
    cdef int _ask(self) except -1
    cdef int _wrote(self, int64_t nbytes) except -1
