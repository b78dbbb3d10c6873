from libc.stdint cimport int64_t, uint32_t

from penstock.service.rpc.flow cimport Flow
from penstock.service.rpc.inflow cimport Taker
from penstock.service.rpc.outbox cimport Outbox


cdef class DataPath(Taker):
    cdef readonly dict calls
    cdef readonly Outbox outbox
    cdef public bint _within_headers
    cdef int64_t _granted

    cdef bint _take_data(self, Flow call, uint32_t stream, int flags, bytes payload) except -1
    cdef int _use(self, Py_ssize_t size) except -1
