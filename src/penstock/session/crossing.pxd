from libc.stdint cimport int64_t, uint64_t

from penstock.data.message cimport Message


cdef class Tally:
    cdef readonly dict kinds
    cdef readonly uint64_t outputs
    cdef int64_t _began_ns
    cdef double _total_s
    cdef uint64_t _timed

    cdef int forget(self, latency_s) except -1
    cdef int count_input(self, kind) except -1
    cpdef object arrived(self, int64_t entered_ns)


cdef class Crossing:
    cdef readonly object end
    cdef public int _putting

    cdef bint offer(self, Message message) except -1


cdef class Crossings:
    cdef readonly dict inlets
    cdef readonly dict outlets
    cdef readonly object _pump
    cdef public bint ended
    cdef public object _at_once
    cdef list _in_turn
    cdef Py_ssize_t _next
    cdef object _sink

    cdef Crossing into(self, node_id, Message message)
    cdef Message taken(self)
    cdef bint has_drained(self) except -1


cdef class Handing:
    cdef readonly object _life
    cdef readonly Crossings _gateway
    cdef readonly object _at_once
    cdef Tally _tally
    cdef object _trail
    cdef object _refused
    cdef uint64_t _epoch
    cdef object _fault

    cdef object _taken(self)
    cdef bint _handed_over(self) except -1
