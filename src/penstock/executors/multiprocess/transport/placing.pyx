"""Puts values where another process can read them: in the ring, or in a slot."""

import weakref
import zlib

import numpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
cimport numpy as np
from numpy cimport ndarray

from penstock.data.message cimport Message
from penstock.executors.multiprocess.transport.arena cimport SharedArena
from penstock.executors.multiprocess.transport.clock cimport now_ns
from penstock.executors.multiprocess.transport.envelope cimport (
    CHECKED,
    INLINE_PAYLOAD,
    META_IN_SLAB,
    Envelope,
    Location,
)
from penstock.executors.multiprocess.transport.memory cimport Lease, Slot, View, array_on, root_of

from penstock.data import pack
from penstock.errors import InputError
from penstock.executors.multiprocess.transport.arena import INLINE_BYTES
from penstock.executors.multiprocess.transport.frames import KIND_NUMBERS

np.import_array()

cdef enum:
    LONG_COPY = 64 << 10

cdef size_t _INLINE_BYTES = INLINE_BYTES
cdef dict _KIND_NUMBERS = KIND_NUMBERS


cdef class Placed:
    """A value that is ready to travel; it holds its slots until every lane has let go of it.

    ``meta`` and ``payload`` go into the ring. What is longer lies in ``meta_lease`` and,
    from ``offset`` on, in the slab of ``lease``; its location is in the ring instead.
    """

    def is_of(self, returns):
        """Whether its payload lies in what ``returns`` has on loan."""
        return isinstance(self.lease, View) and (<View>self.lease).returns() is returns

    cdef size_t write(
        self, unsigned char* record, Message message, uint64_t number
    ) except 0:
        """Write what goes into the ring as a lane's ``number``-th message; gives its length.

        Raises ``OverflowError`` for an epoch or a part beyond 32 bits.
        """
        cdef Envelope* envelope = <Envelope*>record
        cdef size_t meta_bytes = PyBytes_GET_SIZE(self.meta)
        cdef size_t nbytes = sizeof(Envelope) + meta_bytes
        if (message.epoch | message.part) >> 32:
            raise OverflowError(f"epoch {message.epoch} or part {message.part} is beyond 32 bits")
        envelope.kind = self.kind
        envelope.flags = self.flags
        envelope.meta_bytes = meta_bytes
        envelope.unused = 0
        envelope.epoch = message.epoch
        envelope.part = message.part
        envelope.lane_sequence = number
        envelope.sequence = message.sequence
        envelope.timestamp_us = message.timestamp_us
        envelope.entered_ns = message.entered_ns
        envelope.slab_id = self.lease.memory.slab_id if self.lease is not None else 0
        envelope.checksum = self.checksum
        envelope.offset = self.offset
        envelope.length = self.length
        envelope.sent_ns = now_ns()
        memcpy(record + sizeof(Envelope), PyBytes_AS_STRING(self.meta), meta_bytes)
        if self.payload is not None:
            memcpy(record + nbytes, PyBytes_AS_STRING(self.payload), self.length)
            nbytes += self.length
        return nbytes


cdef class Placer:
    """Places each value once, however many lanes it goes down.

    Where those are several (``shared``) it remembers the last value for as long as that
    value lives, and no longer.
    """

    def __init__(self, SharedArena arena not None, size_t max_message_bytes):
        self.arena = arena
        self.shared = False
        self._max_message_bytes = max_message_bytes

    cdef Placed place(self, value, bint verify):
        """The value, ready to travel; None while there is no memory for it.

        Raises ``InputError`` for a payload over the limit, ``ValueError`` or ``TypeError``
        for what can't be packed.
        """
        cdef Placed placed
        if not self.shared:
            return self._place(value, verify)
        if self._last is not None and self._last() is value and self._last_verify == verify:
            return self._last_placed
        placed = self._place(value, verify)
        if placed is not None:
            self._last_placed, self._last_verify = placed, verify
            self._last = weakref.ref(value, self._forget)
        return placed

    def _forget(self, dead):
        if self._last is dead:
            self._last = self._last_placed = None

    cdef Placed _place(self, value, bint verify):
        cdef Placed placed = Placed.__new__(Placed)
        cdef ndarray payload
        cdef size_t length, longest
        kind, meta, payload = pack(value)
        length = np.PyArray_NBYTES(payload)
        longest = max(length, <size_t>len(meta))
        if longest > self._max_message_bytes:
            raise InputError(
                f"a message of {longest} bytes exceeds max_message_bytes {self._max_message_bytes}"
            )
        placed.kind = _KIND_NUMBERS[kind]
        placed.length = length
        placed.meta = meta
        if length <= _INLINE_BYTES:
            placed.flags |= INLINE_PAYLOAD
            placed.payload = payload.tobytes()
        elif not self._place_payload(placed, payload):
            return None
        if <size_t>len(meta) > _INLINE_BYTES and not self._place_meta(placed):
            self._give_up(placed)
            return None
        if verify:
            placed.flags |= CHECKED
            placed.checksum = zlib.crc32(numpy.ascontiguousarray(payload))
        return placed

    cdef int _give_up(self, Placed placed) except -1:
        """There is no room for all of it. That what it has is free again is no news."""
        self.arena.vacancy.wanted = False
        placed.lease = None
        self.arena.vacancy.wanted = True
        return 0

    cdef bint _place_payload(self, Placed placed, ndarray payload) except -1:
        """Find the slot that the payload lies in, or copy it into one."""
        cdef bint whole = np.PyArray_IS_C_CONTIGUOUS(payload)
        cdef ndarray root = root_of(payload)
        cdef Slot slot
        base = np.get_array_base(root)
        if whole and isinstance(base, Lease) and self.arena.knows((<Lease>base).memory):
            placed.lease = base
            placed.offset = <unsigned char*>np.PyArray_DATA(payload) - placed.lease.memory.data
            np.PyArray_CLEARFLAGS(root, np.NPY_ARRAY_WRITEABLE)
            return True
        slot = self.arena.reserve(placed.length)
        if slot is None:
            return False
        if whole:
            _copy(slot.memory.data + slot.offset, np.PyArray_DATA(payload), placed.length)
        else:
            numpy.copyto(
                array_on(slot, payload.dtype, payload.ndim, payload.shape, False, True), payload
            )
        placed.copied = True
        placed.lease = slot
        placed.offset = slot.offset
        return True

    cdef bint _place_meta(self, Placed placed) except -1:
        cdef Slot slot = self.arena.reserve(len(placed.meta))
        cdef Location location
        if slot is None:
            return False
        memcpy(
            slot.memory.data + slot.offset,
            PyBytes_AS_STRING(placed.meta),
            PyBytes_GET_SIZE(placed.meta),
        )
        location.slab_id = slot.memory.slab_id
        location.offset = slot.offset
        location.length = len(placed.meta)
        placed.meta = PyBytes_FromStringAndSize(<char*>&location, sizeof(location))
        placed.meta_lease = slot
        placed.flags |= META_IN_SLAB
        return True


cdef int _copy(void* target, const void* source, size_t nbytes) except -1:
    """Other threads may run meanwhile where that takes longer than letting them."""
    if nbytes < LONG_COPY:
        memcpy(target, source, nbytes)
    else:
        with nogil:
            memcpy(target, source, nbytes)
    return 0
