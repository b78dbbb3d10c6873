from libc.stdint cimport uint64_t

from penstock.executors.multiprocess.transport.ring cimport Ring


cdef class Loans:
    cdef Ring _ring
    cdef readonly dict open
    cdef readonly bint broken
    cdef uint64_t _given_back

    cdef int reclaim(self) except -1
