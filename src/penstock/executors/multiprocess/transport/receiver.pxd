from libc.stdint cimport int64_t, uint32_t, uint64_t
from numpy cimport ndarray

from penstock.executors.multiprocess.transport.arena cimport SharedArena
from penstock.executors.multiprocess.transport.arrival cimport Arrival, Form
from penstock.executors.multiprocess.transport.clock cimport Spread
from penstock.executors.multiprocess.transport.envelope cimport Envelope
from penstock.executors.multiprocess.transport.memory cimport Memory, Returns
from penstock.executors.multiprocess.transport.port cimport LanePort
from penstock.executors.multiprocess.transport.ring cimport Ring

cdef class LaneReceiver(LanePort):
    cdef object __weakref__
    cdef readonly object spec
    cdef public object on_change
    cdef public object on_hoarding
    cdef public object on_reclaim
    cdef readonly bint ended
    cdef object _source
    cdef object _reader
    cdef const uint64_t[::1] _epochs
    cdef Py_ssize_t _epoch_at
    cdef bint _backpressure
    cdef bint _comes_first
    cdef SharedArena _arena
    cdef Returns _returns
    cdef Ring _ring
    cdef object _queue
    cdef Form _form
    cdef object _tally
    cdef dict _dropped
    cdef set _hints
    cdef object _slabs
    cdef size_t _max_message_bytes
    cdef size_t _pin_budget
    cdef uint64_t _count
    cdef uint64_t _expected
    cdef uint64_t _received
    cdef uint64_t _collect_at
    cdef uint64_t _copies
    cdef int64_t _conversion_ns
    cdef int64_t _transit_ns
    cdef Spread _conversion
    cdef Spread _transit

    cpdef object take(self)
    cdef object _opened(self, Arrival arrival)
    cdef Arrival _read(self)
    cdef Arrival _wanted(self)
    cdef int _give_up(self, Arrival arrival, str reason) except -1
    cdef ndarray _view(self, Form form, const Envelope* envelope)
    cdef Memory _memory(self, uint32_t slab_id)
    cdef bint _hoarding(self)
