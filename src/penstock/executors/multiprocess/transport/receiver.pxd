from libc.stdint cimport int64_t, uint64_t
from numpy cimport dtype, ndarray, npy_intp

from penstock.executors.multiprocess.transport.arena cimport SharedArena
from penstock.executors.multiprocess.transport.clock cimport Spread
from penstock.executors.multiprocess.transport.envelope cimport Envelope
from penstock.executors.multiprocess.transport.memory cimport Lease, Returns
from penstock.executors.multiprocess.transport.port cimport Port

cdef enum:
    MOST_DIMENSIONS = 64


cdef class Arrival:
    cdef Envelope envelope
    cdef bytes meta
    cdef bytes payload
    cdef Arrival next


cdef class Form:
    cdef int kind
    cdef bytes meta
    cdef object build
    cdef dtype element
    cdef bint fortran
    cdef int dimensions
    cdef npy_intp[MOST_DIMENSIONS] shape
    cdef int free_axis
    cdef size_t row_bytes

    cdef npy_intp* fitted(self, size_t nbytes) except NULL


cdef class LaneReceiver(Port):
    cdef readonly object spec
    cdef public object on_change
    cdef public object on_broken
    cdef readonly bint ended
    cdef str _name
    cdef object _source
    cdef bint _backpressure
    cdef SharedArena _arena
    cdef Returns _returns
    cdef Arrival _first
    cdef Arrival _last
    cdef size_t _ready
    cdef Form _form
    cdef object _tally
    cdef dict _dropped
    cdef bint _broken
    cdef size_t _pin_budget
    cdef uint64_t _arrived
    cdef uint64_t _received
    cdef uint64_t _credited
    cdef uint64_t _credit_step
    cdef uint64_t _collect_at
    cdef uint64_t _copies
    cdef int64_t _conversion_ns
    cdef Spread _conversion
    cdef Spread _transit

    cpdef object take(self)
    cdef object _opened(self, Arrival arrival)
    cdef Arrival _pop(self)
    cdef Arrival _pop_last(self)
    cdef int _push(self, const Envelope* envelope, const unsigned char* body) except -1
    cdef ndarray _view(self, Form form, const Envelope* envelope)
    cdef bint _hoarding(self)
    cdef int _give_credit(self, uint64_t taken) except -1
    cdef int _arrive(self, const unsigned char* frame, size_t nbytes) except -1
