from libc.stdint cimport int64_t, uint64_t

from penstock.data.message cimport Message
from penstock.executors.multiprocess.transport.clock cimport Spread
from penstock.executors.multiprocess.transport.loans cimport Loans
from penstock.executors.multiprocess.transport.placing cimport Placed, Placer
from penstock.executors.multiprocess.transport.port cimport LanePort
from penstock.executors.multiprocess.transport.ring cimport Ring


cdef class LaneSender(LanePort):
    cdef object __weakref__
    cdef readonly object spec
    cdef readonly bint finished
    cdef public object on_change
    cdef public object on_release
    cdef frozenset _accepts
    cdef frozenset _types
    cdef bint _backpressure
    cdef bint _verify
    cdef Placer _placer
    cdef Ring _ring
    cdef object _queue
    cdef object _machine
    cdef object _held
    cdef dict _dropped
    cdef dict _filtered
    cdef Loans _loans
    cdef set _announced
    cdef bint _blocked
    cdef bint _ending
    cdef bint _ended
    cdef bint _asked
    cdef bint _starves
    cdef bint _closed
    cdef uint64_t _window
    cdef uint64_t _step
    cdef uint64_t _transmitted
    cdef uint64_t _taken
    cdef uint64_t _sent_count
    cdef uint64_t _payload_bytes
    cdef uint64_t _copies
    cdef int64_t _conversion_ns
    cdef int64_t _blocked_ns
    cdef int64_t _blocked_since
    cdef Spread _conversion

    cpdef bint offer(self, Message message) except -1
    cdef bint _transmit(self, Message message) except -1
    cdef int _send(self, const unsigned char* record, size_t nbytes) except -1
    cdef bint _has_room(self) except -1
    cdef bint _room_after(self, uint64_t taken) except -1
    cdef int _lease_out(self, Placed placed) except -1
    cdef int _look(self) except -1
    cdef int _take_back(self) except -1
    cdef bint _put(self, const void* record, size_t nbytes) except -1
