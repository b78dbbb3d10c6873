from libc.stdint cimport uint8_t, uint32_t, uint64_t
from numpy cimport ndarray

from penstock.data.message cimport Message
from penstock.executors.multiprocess.transport.arena cimport SharedArena
from penstock.executors.multiprocess.transport.memory cimport Lease


cdef class Placed:
    cdef uint8_t kind
    cdef uint8_t flags
    cdef bint copied
    cdef uint32_t checksum
    cdef size_t offset
    cdef size_t length
    cdef bytes meta
    cdef bytes payload
    cdef readonly Lease lease
    cdef Lease meta_lease

    cdef size_t write(
        self, unsigned char* record, Message message, uint64_t number
    ) except 0


cdef class Placer:
    cdef readonly SharedArena arena
    cdef public bint shared
    cdef size_t _max_message_bytes
    cdef object _last
    cdef bint _last_verify
    cdef Placed _last_placed

    cdef Placed place(self, value, bint verify)
    cdef Placed _place(self, value, bint verify)
    cdef bint _place_payload(self, Placed placed, ndarray payload) except -1
    cdef bint _place_meta(self, Placed placed) except -1
    cdef int _give_up(self, Placed placed) except -1
