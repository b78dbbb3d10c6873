from libc.stdint cimport uint32_t, uint64_t
from numpy cimport ndarray

from penstock.executors.multiprocess.transport.loans cimport Loans
from penstock.executors.multiprocess.transport.memory cimport Lease, Memory, Slab, Slot, Vacancy


cdef class SharedArena:
    cdef readonly size_t budget_bytes
    cdef readonly size_t used_bytes
    cdef readonly Vacancy vacancy
    cdef public object on_full
    cdef public object on_retired
    cdef uint64_t _number
    cdef object _lock
    cdef uint32_t _next_id
    cdef dict _classes
    cdef dict _own
    cdef dict _foreign
    cdef list _forsaken
    cdef list _loans
    cdef Slab _recent
    cdef size_t _recent_bytes

    cdef Slot reserve(self, size_t nbytes)
    cdef Memory memory(self, uint32_t slab_id)
    cdef bint knows(self, Memory memory) noexcept
    cdef int lend(self, Loans loans) except -1
    cdef int reclaim(self) except -1
    cdef int settle(self, Loans loans) except -1
    cdef int forsake(self, Loans loans) except -1
    cdef Slot _found(self, size_t nbytes)
    cdef Slab _slab_for(self, size_t nbytes)
    cdef Slab _grown(self, size_t size, list slabs)
    cdef Slab _new_slab(self, size_t size, size_t slots, list slabs)
