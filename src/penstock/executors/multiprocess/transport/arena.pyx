"""The shared memory of one process: the slabs it owns and those that others have lent it."""

import os
import threading

import numpy

from libc.stdint cimport uint32_t
from numpy cimport ndarray

from penstock.executors.multiprocess.transport.loans cimport Loans
from penstock.executors.multiprocess.transport.memory cimport (
    Lease,
    Memory,
    Slab,
    Slot,
    Vacancy,
    bytes_on,
)

from penstock.bridges import no_listener
from penstock.executors.multiprocess.transport import sealing

cdef enum:
    INLINE = 1024
    SLABS_PER_OWNER = 1 << 16

INLINE_BYTES = INLINE
"""Payloads up to this size ride in the ring and need no slot."""


cdef class SharedArena:
    """Hands out slots, and knows the slabs of others.

    ``owner`` makes slab IDs unique in the session; own slabs never exceed ``budget_bytes``.
    Any thread may allocate, and arrays may die on any thread; everything else belongs to the
    thread of the process's loop. ``vacancy.on_free`` is called, wherever the last view died,
    when a slot is free again after there was none; ``on_full`` where ``allocate`` finds none, and
    ``on_retired`` with the ID of a slab that nobody may refer to any more.
    """

    def __init__(self, uint32_t owner, size_t budget_bytes, *, bint poison=False):
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self.vacancy = Vacancy(no_listener, poison)
        self.on_full = no_listener
        self.on_retired = lambda _slab_id: None
        self._lock = threading.Lock()
        self._next_id = owner * SLABS_PER_OWNER
        self._classes = {}
        self._own = {}
        self._foreign = {}
        self._forsaken = []
        self._loans = []

    def allocate(self, size_t nbytes):
        """A writable array, in an own slot where it is not small enough to ride along.

        None while the budget leaves no room.
        """
        cdef Slot slot
        if nbytes <= INLINE:
            return numpy.empty(nbytes, dtype="u1")
        slot = self.reserve(nbytes)
        return None if slot is None else bytes_on(slot, True)

    cdef Slot reserve(self, size_t nbytes):
        """An own slot, free again when nobody holds it; None while there is no room."""
        cdef Slab slab
        cdef Slot slot
        self.reclaim()  # what has come back is still in the processor's caches
        slab = self._recent
        if slab is not None and self._recent_bytes == nbytes:
            slot = slab.take(nbytes)
            if slot is not None:
                return slot
        while True:
            slab = self._slab_for(nbytes)
            if slab is None:
                self.vacancy.wanted = True
                self.on_full()
                return None
            slot = slab.take(nbytes)
            if slot is not None:  # else another thread was faster
                return slot

    cdef Memory memory(self, uint32_t slab_id):
        """Another process's slab; None where none of that ID was announced."""
        return self._foreign.get(slab_id)

    cdef int lend(self, Loans loans) except -1:
        """Look there for what comes back."""
        self._loans.append(loans)
        return 0

    cdef int reclaim(self) except -1:
        """Let go of whatever consumers have given back."""
        cdef Loans loans
        for loans in self._loans:
            loans.reclaim()
        return 0

    cdef int forsake(self, Loans loans) except -1:
        """Never use again what a closed lane has lent: nobody can say any more who looks at it."""
        if loans in self._loans:  # else the arena is closed already
            loans.reclaim()
            self._loans.remove(loans)
            self._forsaken.append(loans)
        return 0

    @property
    def borrowed(self):
        """The IDs of the slabs that others have lent."""
        return tuple(self._foreign)

    def adopt(self, uint32_t slab_id, int fd, str lane):
        """Map another process's slab; takes the descriptor over."""
        cdef Memory memory
        memory = Memory()
        try:
            memory.map(slab_id, fd, sealing.check(fd, lane), False)
        except BaseException:
            os.close(fd)
            raise
        if slab_id in self._foreign:
            memory.close()
        else:
            self._foreign[slab_id] = memory

    def descriptor(self, uint32_t slab_id):
        """The descriptor of a slab, own or foreign, to announce it with."""
        memory = self._foreign.get(slab_id) or self._own[slab_id]
        return memory.fd

    def drop(self, uint32_t slab_id):
        """A foreign slab's owner has given it up; views that live keep its memory."""
        memory = self._foreign.pop(slab_id, None)
        if memory is not None:
            memory.close()
            self.on_retired(slab_id)

    def close(self):
        """Close all descriptors; memory goes with the last view on it."""
        for memory in (*self._own.values(), *self._foreign.values()):
            memory.close()
        self._recent = None
        self._classes.clear()
        self._own.clear()
        self._foreign.clear()
        self.vacancy.poison = False  # views live on, and nothing is handed out any more
        self._forsaken.clear()
        self._loans.clear()
        self.vacancy.on_free = self.on_full = no_listener

    cdef Slab _slab_for(self, size_t nbytes):
        cdef Slab slab
        cdef size_t size = sealing.slot_size(nbytes)
        with self._lock:
            slabs = self._classes.setdefault(size, [])
            for slab in slabs:
                if slab.free_slots:
                    break
            else:
                slab = self._grown(size, slabs)
            self._recent, self._recent_bytes = slab, nbytes
        return slab

    cdef Slab _grown(self, size_t size, list slabs):
        """One more slab of a size; None where the budget has no room for it."""
        cdef Slab slab
        slots = sealing.slab_slots(size, sum(one.slots for one in slabs))
        while slots > 1 and self.used_bytes + slots * size > self.budget_bytes:
            slots //= 2
        if self.used_bytes + slots * size > self.budget_bytes:
            self._trim()
        if self.used_bytes + slots * size > self.budget_bytes:
            return None
        slab = Slab(self._next_id, size, slots, self.vacancy)
        self._own[slab.slab_id] = slab
        self._next_id += 1
        self.used_bytes += slab.nbytes
        slabs.append(slab)
        return slab

    def _trim(self):
        """Give up the slabs that nobody uses, so that another size class can grow."""
        cdef Slab slab
        self._recent = None
        for slabs in self._classes.values():
            for slab in list(slabs):
                if slab.free_slots == slab.slots:
                    slab.free_slots = 0  # nobody takes one any more
                    slabs.remove(slab)
                    del self._own[slab.slab_id]
                    slab.close()
                    self.used_bytes -= slab.nbytes
                    self.on_retired(slab.slab_id)
