"""The shared memory of one process: the slabs it owns and those that others have lent it."""

import os
import threading
from collections import Counter
from itertools import count

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
    references,
)

from penstock.bridges import no_listener
from penstock.errors import LaneError
from penstock.executors.multiprocess.transport import sealing

cdef enum:
    INLINE = 1024
    SLABS_PER_OWNER = 1 << 16

_numbers = count(1)
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
        self._number = next(_numbers)
        self.vacancy = Vacancy(no_listener, poison)
        self.on_full = no_listener
        self.on_retired = lambda _slab_id: None
        self._lock = threading.RLock()  # a destructor may allocate while a slab is made
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
        cdef bint waiting
        self.reclaim()  # what has come back is still in the processor's caches
        slab = self._recent
        if slab is not None and self._recent_bytes == nbytes:
            slot = slab.take(nbytes)
            if slot is not None:
                return slot
        slot = self._found(nbytes)
        if slot is not None:
            return slot
        waiting, self.vacancy.wanted = self.vacancy.wanted, True
        slot = self._found(nbytes)  # one that became free before others were told to say so
        if slot is None and not waiting:
            self.on_full()
        return slot

    cdef Slot _found(self, size_t nbytes):
        cdef Slab slab
        cdef Slot slot = None
        while slot is None:  # another thread may be faster
            slab = self._slab_for(nbytes)
            if slab is None:
                return None
            slot = slab.take(nbytes)
        return slot

    cdef Memory memory(self, uint32_t slab_id):
        """Another process's slab; None where none of that ID was announced."""
        return self._foreign.get(slab_id)

    cdef bint knows(self, Memory memory) noexcept:
        """Whether others can be told of it: it is of this session, and not given up."""
        return memory.home == self._number

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

    def lent_on(self, returns):
        """How many of the views that ``returns`` has on loan only others look at, in their turn.

        What somebody here looks at besides stays when those give it back.
        """
        cdef dict placed = {}
        cdef dict holders
        cdef Lease lease
        cdef object key
        for loans in self._loans:
            placed.update(loans.lent_on(returns))
        holders = dict(Counter(map(id, placed.values())))
        for lease in placed.values():
            key = id(lease)
            if holders.get(key, 0) and references(lease) - 1 > 2 * holders[key]:
                holders[key] = 0  # this variable's, and one each of what was placed and of its entry
        return len(holders) - list(holders.values()).count(0)

    cdef int settle(self, Loans loans) except -1:
        """Have back all that a closed lane has lent to a consumer that copies what it takes."""
        if loans in self._loans:  # else the arena is closed already
            self._loans.remove(loans)
            loans.open.clear()
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
        """Map the slab of another process that a lane announces; takes the descriptor over.

        Raises ``LaneError`` for memory that can't be mapped or relied on, and where another
        lane has announced different memory by that ID.
        """
        cdef Memory memory = Memory()
        cdef Memory known = self._foreign.get(slab_id)
        memory.fd = fd  # closed with it, unless it is kept
        nbytes = sealing.check(fd, lane)
        if known is None:
            with sealing.usable(lane):
                memory.map(slab_id, fd, nbytes, False)
            memory.home = self._number
            known = self._foreign[slab_id] = memory
        elif not os.path.sameopenfile(known.fd, fd):
            raise LaneError(lane, f"slab {slab_id} is announced, but there is another already")
        known.lanes += 1

    def drop(self, uint32_t slab_id):
        """One lane fewer has announced the slab; views that live keep its memory.

        Gives whether nobody else has.
        """
        cdef Memory memory = self._foreign[slab_id]
        memory.lanes -= 1
        if memory.lanes:
            return False
        del self._foreign[slab_id]
        memory.close()
        return True

    def close(self):
        """Close all descriptors; memory goes with the last view on it, and there is no more.

        What lanes have lent is theirs no longer: whatever keeps a lane's end would keep it as well.
        """
        cdef Memory memory
        cdef Loans loans
        for memory in (*self._own.values(), *self._foreign.values()):
            memory.close()
        self.budget_bytes = 0
        self._recent = None
        self._classes.clear()
        self._own.clear()
        self._foreign.clear()
        self.vacancy.poison = False  # views live on, and nothing is handed out any more
        self.vacancy.on_free = self.on_full = no_listener
        for loans in (*self._forsaken, *self._loans):
            loans.open.clear()
        self._forsaken.clear()
        self._loans.clear()

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
        slots = sealing.slab_slots(size, sum(one.slots for one in slabs), self.budget_bytes)
        while slots > 1 and self.used_bytes + slots * size > self.budget_bytes:
            slots //= 2
        if self.used_bytes + slots * size > self.budget_bytes:
            self._trim()
        if self.used_bytes + slots * size > self.budget_bytes:
            return None
        return self._new_slab(size, slots, slabs)

    cdef Slab _new_slab(self, size_t size, size_t slots, list slabs):
        """Its ID and its bytes are taken before it is there: making it may run anything."""
        cdef Slab slab
        cdef uint32_t slab_id = self._next_id
        self._next_id += 1
        self.used_bytes += slots * size
        try:
            slab = Slab(slab_id, size, slots, self.vacancy)
        except BaseException:
            self.used_bytes -= slots * size
            raise
        slab.home = self._number
        self._own[slab_id] = slab
        slabs.append(slab)
        return slab

    def _trim(self):
        """Give up the slabs that nobody uses, so that another size class can grow."""
        cdef Slab slab
        self._recent = None
        for slabs in list(self._classes.values()):
            for slab in list(slabs):
                if slab.free_slots == slab.slots:
                    slab.free_slots = 0  # nobody takes one any more
                    slabs.remove(slab)
                    del self._own[slab.slab_id]
                    slab.close()
                    self.used_bytes -= slab.nbytes
                    self.on_retired(slab.slab_id)
