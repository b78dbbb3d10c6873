from libc.stdint cimport int64_t, uint64_t

from penstock.data.message cimport Message
from penstock.executors.multiprocess.transport.clock cimport Spread


cdef class Counters:
    cdef public int64_t items
    cdef public int64_t outputs
    cdef public int64_t unmatched
    cdef public int64_t interrupted
    cdef public int64_t skipped
    cdef public int64_t withheld
    cdef public int64_t execution_ns
    cdef int64_t _counted_ns
    cdef Spread _processing

    cdef int count_item(self) except -1


cdef class Turn:
    cdef public uint64_t asked
    cdef public uint64_t answered
    cdef readonly uint64_t begun
    cdef readonly uint64_t epoch
    cdef readonly uint64_t latest
    cdef object _page
    cdef const uint64_t* _serial
    cdef const uint64_t* _of_outputs
    cdef const uint64_t* _of_work
    cdef uint64_t _seen

    cdef void _look(self) noexcept
    cdef bint _has_news(self) noexcept
    cdef bint _is_over(self) noexcept


cdef class Stamper:
    cdef str _node_id
    cdef Turn _turn
    cdef uint64_t _sequence
    cdef int64_t _timestamp_us
    cdef int64_t _entered_ns
    cdef uint64_t _part
    cdef dict _recent
    cdef dict _older

    cpdef int follow(self, Message message) except -1
    cpdef Message stamp(self, value)
    cdef int _turn_to(self, uint64_t sequence) except -1


cdef class Emitter:
    cdef readonly list lanes
    cdef readonly list waiting
    cdef readonly object side
    cdef readonly bint parked
    cdef public bint muted
    cdef readonly Stamper stamper
    cdef readonly Turn turn
    cdef readonly frozenset emits
    cdef frozenset _types
    cdef Counters _counters
    cdef object _value
    cdef object _message

    cpdef int give(self, value, str during) except -1
    cdef int _show(self, message, str during) except -1
    cdef int _decide(self, message, list lanes, str during) except -1
    cdef int _give_what_was_held(self, str during) except -1
    cdef int _offer(self, list lanes, message, str during) except -1
