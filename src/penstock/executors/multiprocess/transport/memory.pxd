from libc.stdint cimport uint32_t, uint64_t
from numpy cimport dtype, ndarray, npy_intp

from penstock.executors.multiprocess.transport.reactor cimport Reactor
from penstock.executors.multiprocess.transport.ring cimport Ring


cdef class Memory:
    cdef readonly uint32_t slab_id
    cdef readonly int fd
    cdef readonly size_t nbytes
    cdef unsigned char* data
    cdef uint32_t lanes
    cdef uint64_t home
    cdef uint64_t _mapped_at

    cdef int map(self, uint32_t slab_id, int fd, size_t nbytes, bint writable) except -1
    cdef int check(self, uint64_t offset, uint64_t nbytes) except -1
    cdef bytes copied(self, uint64_t offset, uint64_t nbytes)
    cdef int close(self) noexcept


cdef class Vacancy:
    cdef public bint poison
    cdef public object on_free
    cdef readonly bint wanted


cdef class Slab(Memory):
    cdef readonly uint32_t slots
    cdef size_t _slot_bytes
    cdef Vacancy _vacancy
    cdef uint32_t* _free
    cdef uint32_t free_slots

    cdef Slot take(self, size_t nbytes)
    cdef int take_back(self, size_t offset) except -1


cdef class Lease:
    cdef Memory memory
    cdef size_t offset
    cdef size_t nbytes


cdef Py_ssize_t references(Lease lease) noexcept


cdef class Slot(Lease):
    pass


cdef class View(Lease):
    cdef Pin _pin
    cdef uint64_t _token

    cdef Returns returns(self)


cdef class Pin:
    cdef Memory memory
    cdef Returns _returns
    cdef size_t _views


cdef class Returns:
    cdef Reactor _reactor
    cdef Ring ring
    cdef object _wake
    cdef dict _pins
    cdef Pin _last
    cdef readonly size_t views
    cdef readonly size_t pinned_bytes

    cdef View view(self, Memory memory, size_t offset, size_t nbytes, uint64_t token)
    cdef int give(self, uint64_t token) except -1
    cdef int close(self) except -1
    cdef Pin _pin(self, Memory memory)


cdef ndarray array_over(
    object owner, void* data, dtype element, int dimensions, npy_intp* shape, bint fortran,
    bint writable,
)
cdef ndarray array_on(
    Lease lease, dtype element, int dimensions, npy_intp* shape, bint fortran, bint writable
)
cdef ndarray bytes_on(Lease lease, bint writable)
cdef ndarray root_of(ndarray array)
