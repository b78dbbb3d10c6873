"""Slabs as memory, and who holds which part of them.

An array on a slab has a ``Lease`` for its base, which numpy keeps for as long as anything
looks at the array or at a part of it. When the lease dies, an own slot is free again, and a
foreign one is on its way back to the process that it came from. No lock is needed: leases die
under the GIL, and nothing here lets go of it in between.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_SetFromErrno
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_REFCNT
from libc.errno cimport EINVAL, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
cimport cython
cimport numpy as np
from numpy cimport dtype, ndarray, npy_intp

from penstock.executors.multiprocess.transport.reactor cimport Reactor
from penstock.executors.multiprocess.transport.ring cimport forks

from penstock.executors.multiprocess.transport import sealing

cdef extern from "<sys/mman.h>" nogil:
    void* MAP_FAILED
    int PROT_READ, PROT_WRITE, MAP_SHARED, MADV_DONTFORK
    void* mmap(void* address, size_t nbytes, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t nbytes)
    int madvise(void* address, size_t nbytes, int advice)

cdef extern from "<unistd.h>" nogil:
    int close_fd "close"(int fd)

cdef extern from "numpy/arrayobject.h":
    PyTypeObject PyArray_Type
    ctypedef struct PyArray_Descr:
        pass
    object PyArray_NewFromDescr(
        PyTypeObject* subtype, PyArray_Descr* descr, int nd, npy_intp* dims, npy_intp* strides,
        void* data, int flags, PyObject* obj,
    )
    void PyArray_UpdateFlags(ndarray array, int flags)

np.import_array()

cdef dtype _BYTES = np.dtype("u1")
cdef enum:
    POPULATE_WRITE = 23  # <linux/mman.h>; headers before Linux 5.14 don't have it
    POISON = 0xDB


cdef class Memory:
    """A mapped memfd; its descriptor is kept, to announce it with.

    ``lanes`` are those that announced another process's slab and have not retired it;
    ``home`` is the number of the arena that it is in, until that gives it up.
    """

    def __cinit__(self):
        self.fd = -1

    cdef int map(self, uint32_t slab_id, int fd, size_t nbytes, bint writable) except -1:
        """Map the whole memfd; it has ``nbytes``, and the descriptor is this object's now."""
        cdef void* data
        self.fd = fd
        data = mmap(
            NULL, nbytes, PROT_READ | PROT_WRITE if writable else PROT_READ, MAP_SHARED, fd, 0
        )
        if data == MAP_FAILED:
            PyErr_SetFromErrno(OSError)
        self._mapped_at = forks()
        self.slab_id = slab_id
        self.data = <unsigned char*>data
        self.nbytes = nbytes
        return 0

    cdef int check(self, uint64_t offset, uint64_t nbytes) except -1:
        """Raises ``ValueError`` for a range that doesn't lie inside."""
        if offset > self.nbytes or nbytes > self.nbytes - offset:
            raise ValueError(
                f"bytes {offset} to {offset + nbytes} lie outside a slab of {self.nbytes}"
            )
        return 0

    cdef bytes copied(self, uint64_t offset, uint64_t nbytes):
        """What lies in a range; raises as ``check``."""
        self.check(offset, nbytes)
        return PyBytes_FromStringAndSize(<const char*>self.data + offset, nbytes)

    def __dealloc__(self):
        if self.data != NULL and self._mapped_at == forks():
            munmap(self.data, self.nbytes)
        self.close()

    cdef int close(self) noexcept:
        """Give the descriptor up; the mapping goes with the last lease on it."""
        if self.fd >= 0:
            close_fd(self.fd)
        self.fd = -1
        self.home = 0


cdef class Vacancy:
    """Tells an arena that waits for it that one of its slots is free again.

    ``poison`` overwrites what is in a slot when it becomes free: a view that lives on without
    a lease then sees it.
    """

    def __init__(self, on_free, bint poison):
        self.on_free = on_free
        self.poison = poison
        self.wanted = False


cdef class Slab(Memory):
    """Memory of this process's own, cut into slots of one size."""

    def __init__(self, uint32_t slab_id, size_t slot_bytes, uint32_t slots, Vacancy vacancy):
        cdef uint32_t i
        cdef size_t nbytes = slot_bytes * slots
        self.map(slab_id, sealing.create(nbytes), nbytes, True)
        _populate(self.data, nbytes)
        sealing.seal(self.fd)
        self.slots = self.free_slots = slots
        self._slot_bytes = slot_bytes
        self._vacancy = vacancy
        self._free = <uint32_t*>malloc(slots * sizeof(uint32_t))
        if self._free == NULL:
            raise MemoryError
        for i in range(slots):
            self._free[i] = slots - 1 - i  # last in, first out: the warmest slot

    def __dealloc__(self):
        free(self._free)

    cdef Slot take(self, size_t nbytes):
        """A slot; None where there is none."""
        cdef Slot slot = Slot.__new__(Slot)
        if self.free_slots == 0:
            return None
        self.free_slots -= 1
        slot.memory = self
        slot.offset = self._free[self.free_slots] * self._slot_bytes
        slot.nbytes = nbytes
        return slot

    cdef int take_back(self, size_t offset) except -1:
        if self._mapped_at != forks():
            return 0  # it is the other's, who has it still
        if self._vacancy.poison:
            memset(self.data + offset, POISON, self._slot_bytes)
        self._free[self.free_slots] = offset // self._slot_bytes
        self.free_slots += 1
        if self._vacancy.wanted:
            self._vacancy.wanted = False
            self._vacancy.on_free()
        return 0


@cython.no_gc
cdef class Lease:
    """A part of a slab that somebody looks at."""


cdef Py_ssize_t references(Lease lease) noexcept:
    """How many there are to a lease, who asks among them."""
    return Py_REFCNT(lease)


@cython.final
@cython.no_gc
cdef class Slot(Lease):
    """A slot of an own slab, in use."""

    def __dealloc__(self):
        if self.memory is not None:
            (<Slab>self.memory).take_back(self.offset)


@cython.final
@cython.no_gc
cdef class View(Lease):
    """A part of another process's slab, lent to this one."""

    cdef Returns returns(self):
        return None if self._pin is None else self._pin._returns

    def __dealloc__(self):
        cdef Pin pin = self._pin
        cdef Returns returns
        if pin is None:  # made by somebody who found this type: it stands for nothing
            return
        returns = pin._returns
        pin._views -= 1
        returns.views -= 1
        if pin._views == 0:
            returns.pinned_bytes -= pin.memory.nbytes
        returns.give(self._token)


@cython.final
@cython.no_gc
cdef class Pin:
    """How many views of one lane a slab has: while there is one, nobody can give it up."""


@cython.final
cdef class Returns:
    """What a lane has on loan: it goes back through the lane's ring when it dies.

    ``wake`` is called from the reactor when the producer waits for that. ``pinned_bytes`` are
    those of the slabs that ``views`` lie in.
    """

    def __init__(self, Reactor reactor not None, wake):
        self._reactor = reactor
        self._wake = wake
        self._pins = {}
        self.views = self.pinned_bytes = 0

    cdef View view(self, Memory memory, size_t offset, size_t nbytes, uint64_t token):
        cdef Pin pin = self._last
        cdef View view = View.__new__(View)
        if pin is None or pin.memory is not memory:
            pin = self._last = self._pin(memory)
        if pin._views == 0:
            self.pinned_bytes += memory.nbytes
        pin._views += 1
        self.views += 1
        view.memory = memory
        view.offset = offset
        view.nbytes = nbytes
        view._pin = pin
        view._token = token
        return view

    cdef int give(self, uint64_t token) except -1:
        """Nobody looks at what the token stands for any more; on whatever thread."""
        if self.ring is not None and self.ring.give_back(token):
            self._reactor.defer(self._wake)
        return 0

    def retire(self, uint32_t slab_id):
        """The slab is given up: nobody has a view on it."""
        self._last = None
        self._pins.pop(slab_id, None)

    cdef int close(self) except -1:
        """What dies from now on stays here."""
        self.ring = self._wake = self._last = None
        self._pins.clear()
        return 0

    cdef Pin _pin(self, Memory memory):
        cdef Pin pin = self._pins.get(memory.slab_id)
        if pin is None or pin.memory is not memory:
            pin = Pin.__new__(Pin)
            pin.memory = memory
            pin._returns = self
            self._pins[memory.slab_id] = pin
        return pin


cdef int _populate(void* data, size_t nbytes) except -1:
    """Have all pages of new memory there, and no child of this process see them."""
    cdef int failed
    with nogil:
        madvise(data, nbytes, MADV_DONTFORK)
        failed = 0 if madvise(data, nbytes, POPULATE_WRITE) == 0 else errno
        if failed == EINVAL:  # a kernel before 5.14
            memset(data, 0, nbytes)
    if failed and failed != EINVAL:
        raise OSError(failed, f"no memory for {nbytes} bytes to share")
    return 0


cdef ndarray array_over(
    object owner, void* data, dtype element, int dimensions, npy_intp* shape, bint fortran,
    bint writable,
):
    """An array over memory that belongs to ``owner``."""
    cdef int flags = np.NPY_ARRAY_F_CONTIGUOUS if fortran else np.NPY_ARRAY_C_CONTIGUOUS
    cdef ndarray array
    if writable:
        flags |= np.NPY_ARRAY_WRITEABLE
    Py_INCREF(element)  # the array takes a reference
    array = PyArray_NewFromDescr(
        &PyArray_Type, <PyArray_Descr*>element, dimensions, shape, NULL, data, flags, NULL
    )
    PyArray_UpdateFlags(array, np.NPY_ARRAY_ALIGNED)
    np.set_array_base(array, owner)
    return array


cdef ndarray array_on(
    Lease lease, dtype element, int dimensions, npy_intp* shape, bint fortran, bint writable
):
    """An array over what is leased."""
    return array_over(
        lease, lease.memory.data + lease.offset, element, dimensions, shape, fortran, writable
    )


cdef ndarray bytes_on(Lease lease, bint writable):
    cdef npy_intp nbytes = lease.nbytes
    return array_on(lease, _BYTES, 1, &nbytes, False, writable)


cdef ndarray root_of(ndarray array):
    """The array that others are parts of."""
    cdef object base = np.get_array_base(array)
    while isinstance(base, ndarray):
        array = base
        base = np.get_array_base(array)
    return array
