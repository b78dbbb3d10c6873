"""The receiving end of a lane between two processes.

Credit goes back when a message is taken; the lease on its slot when the last view of it dies.
A consumer that hoards leases, or pins too much of its producer's pool by them, gets copies instead.
"""

import gc
import zlib

import msgspec
import numpy

cimport cython
cimport numpy as np
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from numpy cimport dtype, ndarray, npy_intp

from penstock.executors.multiprocess.transport.arena cimport SharedArena
from penstock.executors.multiprocess.transport.clock cimport count, counts, now_ns
from penstock.executors.multiprocess.transport.envelope cimport (
    CHECKED,
    INLINE_PAYLOAD,
    META_IN_SLAB,
    Envelope,
    Location,
)
from penstock.executors.multiprocess.transport.memory cimport (
    Lease,
    Memory,
    Returns,
    array_on,
    array_over,
)
from penstock.executors.multiprocess.transport.port cimport Port
from penstock.executors.multiprocess.transport.reactor cimport Reactor

from penstock.bridges import ConsumerStatistics, count_drop, no_listener
from penstock.data import Message, reader
from penstock.errors import ConservationError, LaneClosedError, LaneError
from penstock.executors.multiprocess.transport import frames
from penstock.executors.multiprocess.transport.frames import KINDS, FrameType, Tally

np.import_array()

MAX_LEASES = 256
"""Views on a lane's messages that may live at once before inputs are copied."""

cdef size_t _MAX_LEASES = MAX_LEASES
cdef int _KINDS = len(KINDS)
cdef unsigned char _VERSION = frames.VERSION
cdef unsigned char _DATA = FrameType.DATA


@cython.final
@cython.freelist(128)
cdef class Arrival:
    """A message that waits to be taken."""


@cython.final
cdef class Form:
    """What arrays of one description look like, and how to make values of them."""

    def __init__(self, int kind, bytes meta):
        cdef int axis
        self.kind = kind
        self.meta = meta
        self.element, shape, self.fortran, self.build = reader(KINDS[kind], meta)
        self.dimensions = len(shape)
        if self.dimensions > MOST_DIMENSIONS:
            raise ValueError(f"no array has {self.dimensions} dimensions")
        self.free_axis = -1
        row_bytes = self.element.itemsize
        for axis, extent in enumerate(shape):
            if extent < 0:
                self.free_axis = axis
            else:
                self.shape[axis] = extent
                row_bytes *= extent
        self.row_bytes = row_bytes

    cdef npy_intp* fitted(self, size_t nbytes) except NULL:
        """The extents of an array that fills ``nbytes``; raises ``ValueError`` for none."""
        cdef bint fits
        if self.free_axis < 0:
            fits = nbytes == self.row_bytes
        else:
            fits = self.row_bytes > 0 and nbytes % self.row_bytes == 0
        if not fits:
            raise ValueError(f"a payload of {nbytes} bytes is no whole array of its description")
        if self.free_axis >= 0:
            self.shape[self.free_axis] = nbytes // self.row_bytes
        return self.shape


cdef class LaneReceiver(Port):
    """A ``ConsumerEnd`` on a socket.

    ``on_change`` is called when there is something to take or the end has come,
    ``on_broken`` with the ``LaneError`` when the lane fails.
    """

    def __init__(self, spec, sock, SharedArena arena not None, Reactor reactor not None, on_broken):
        super().__init__(sock, reactor, frame_bytes=frames.LANE_FRAME_BYTES)
        self.spec = spec
        self.on_change = no_listener
        self.on_broken = on_broken
        self._name = spec.name
        self._source = spec.source
        self._backpressure = spec.backpressure
        self._arena = arena
        self._returns = Returns(reactor, self._flush_returns)
        self._credit_step = max(spec.capacity // 4, 1)
        self._pin_budget = arena.budget_bytes // 4
        self._dropped = {}

    cpdef object take(self):
        """The next message, as views on shared memory; None where there is none now.

        Raises ``LaneError`` for a message that is not what its envelope says.
        """
        cdef Arrival arrival
        cdef int64_t started, opened
        if not self._backpressure:
            self.drain()  # the newest may still be in the socket
        if self._first is None:
            return None
        arrival = self._pop()
        started = now_ns()
        try:
            message = self._opened(arrival)
        except (ValueError, TypeError, KeyError, OverflowError, msgspec.DecodeError) as exc:
            raise LaneError(
                self._name, f"message {arrival.envelope.lane_sequence} is unreadable: {exc}"
            ) from exc
        opened = now_ns()
        self._received += 1
        self._conversion_ns += opened - started
        count(&self._conversion, opened - started)
        count(&self._transit, started - arrival.envelope.sent_ns)
        if self._backpressure and self._received - self._credited >= self._credit_step:
            self._give_credit(self._received)
        if self._tally is not None:
            self._finish_if_ended()
        return message

    def statistics(self):
        return ConsumerStatistics(
            received=self._received,
            conversion_ns=self._conversion_ns,
            copies=self._copies,
            waiting=self._ready,
            ended=self.ended,
            dropped=self._dropped,
            conversion=counts(&self._conversion),
            transit=counts(&self._transit),
        )

    def close(self):
        super().close()
        self._returns.close()
        self._first = self._last = None
        self._ready = 0

    cdef object _opened(self, Arrival arrival):
        cdef Envelope* envelope = &arrival.envelope
        cdef Form form = self._form
        cdef ndarray payload
        cdef bytes meta = arrival.meta
        if envelope.flags & META_IN_SLAB:
            meta = self._peek(meta)
        if form is None or form.kind != envelope.kind or form.meta != meta:
            form = self._form = Form(envelope.kind, meta)
        if not envelope.flags & INLINE_PAYLOAD:
            payload = self._view(form, envelope)
        else:
            payload = array_over(
                arrival.payload, PyBytes_AS_STRING(arrival.payload), form.element,
                form.dimensions, form.fitted(envelope.length), form.fortran, False,
            )
            if envelope.flags & META_IN_SLAB:
                self._return_unseen(envelope.lane_sequence)
        if envelope.flags & CHECKED:
            if zlib.crc32(payload.ravel(order="K").view("u1")) != envelope.checksum:
                raise ValueError(f"its payload of {envelope.length} bytes has another checksum")
        return Message(
            form.build(payload), envelope.sequence, envelope.part, envelope.timestamp_us,
            envelope.epoch, self._source,
        )

    cdef ndarray _view(self, Form form, const Envelope* envelope):
        """The payload where it lies, or a copy of it where too many views are held already."""
        cdef Memory memory = self._arena.memory(envelope.slab_id)
        cdef Lease lease
        cdef ndarray array
        _check_inside(memory, envelope.offset, envelope.length)
        lease = self._returns.view(
            memory, envelope.offset, envelope.length, envelope.lane_sequence
        )
        array = array_on(
            lease, form.element, form.dimensions, form.fitted(envelope.length), form.fortran, False
        )
        if not self._hoarding():
            return array
        self._collect()
        if not self._hoarding():  # only cycles held what was too much
            return array
        self._copies += 1
        return array.copy(order="K")

    cdef bint _hoarding(self):
        return (
            self._returns.views > _MAX_LEASES or self._returns.pinned_bytes > self._pin_budget
        )

    def _peek(self, bytes meta):
        """A description that lies in a slab."""
        cdef Location location
        cdef Memory memory
        if <size_t>len(meta) != sizeof(location):
            raise ValueError(f"a location has {sizeof(location)} bytes, got {len(meta)}")
        memcpy(&location, PyBytes_AS_STRING(meta), sizeof(location))
        memory = self._arena.memory(location.slab_id)
        _check_inside(memory, location.offset, location.length)
        return PyBytes_FromStringAndSize(
            <const char*>memory.data + location.offset, location.length
        )

    def _collect(self):
        """Free views that only cycles hold; now and then, since looking takes milliseconds."""
        if self._returns.views and self._received >= self._collect_at:
            self._collect_at = self._received + _MAX_LEASES
            gc.collect()
            self._flush_returns()

    def _return_unseen(self, uint64_t lane_sequence):
        """Nobody has looked, or will, at what this message has in a slab."""
        self._returns.give(lane_sequence, 0)
        self._reactor.defer(self._flush_returns)

    def _flush_returns(self):
        while batch := self._returns.take(frames.MAX_RELEASES):
            self.send_frame(frames.release_frame(batch))

    cdef int _give_credit(self, uint64_t taken) except -1:
        self._credited = taken
        self.send_frame(frames.number_frame(FrameType.CREDIT, taken))
        return 0

    cdef int arrived(self, const unsigned char* frame, size_t nbytes, list descriptors) except -1:
        try:
            if nbytes > 1 and frame[0] == _VERSION and frame[1] == _DATA:
                self._arrive(frame, nbytes)
            else:
                self._handle(PyBytes_FromStringAndSize(<const char*>frame, nbytes), descriptors)
        except LaneError as exc:
            self._break(exc)
        finally:
            if descriptors:
                frames.close_all(descriptors)
        return 0

    def _handle(self, bytes frame, list descriptors):
        kind = frames.frame_type(frame, self._name)
        if kind == FrameType.SLAB and descriptors:
            self._arena.adopt(
                frames.number_of(frame, self._name), descriptors.pop(), self._name
            )
        elif kind == FrameType.RETIRE:
            slab_id = frames.number_of(frame, self._name)
            self._returns.retire(slab_id)
            self._arena.drop(slab_id)
        elif kind == FrameType.END:
            self._end_with(frames.tally_of(frame, self._name))
        elif kind == FrameType.RECLAIM:
            self._returns.hurry()
            self._flush_returns()
            self._collect()
        else:
            raise LaneError(self._name, f"unexpected frame of type {kind} from the producer")

    cdef int _arrive(self, const unsigned char* frame, size_t nbytes) except -1:
        """Keep a message until it is taken; raises ``LaneError`` for what is none."""
        cdef Envelope* envelope = <Envelope*>frame
        cdef uint64_t announced
        if nbytes < sizeof(Envelope):
            raise LaneError(
                self._name, f"an envelope has {sizeof(Envelope)} bytes, got {nbytes}"
            )
        if envelope.kind >= _KINDS:
            raise LaneError(self._name, f"unknown kind of data {envelope.kind}")
        announced = sizeof(Envelope) + envelope.meta_bytes
        if envelope.flags & INLINE_PAYLOAD:
            announced += envelope.length
        if nbytes != announced:
            raise LaneError(
                self._name, f"a frame of {announced} bytes was announced, got {nbytes}"
            )
        if envelope.lane_sequence != self._arrived:
            raise LaneError(
                self._name, f"expected message {self._arrived}, got {envelope.lane_sequence}"
            )
        self._arrived += 1
        self._push(envelope, frame + sizeof(Envelope))
        if not self._backpressure:
            if self._arrived - self._credited >= self._credit_step:
                self._give_credit(self._arrived)
            self._drop_excess()
        self.on_change()
        return 0

    cdef int _push(self, const Envelope* envelope, const unsigned char* body) except -1:
        cdef Arrival arrival = Arrival.__new__(Arrival)
        cdef Form form = self._form
        arrival.envelope = envelope[0]
        arrival.meta = PyBytes_FromStringAndSize(<const char*>body, envelope.meta_bytes)
        if envelope.flags & INLINE_PAYLOAD:
            arrival.payload = PyBytes_FromStringAndSize(
                <const char*>body + envelope.meta_bytes, envelope.length
            )
        if self._first is None:
            self._first = arrival
        else:
            self._last.next = arrival
        self._last = arrival
        self._ready += 1
        return 0

    cdef Arrival _pop(self):
        cdef Arrival arrival = self._first
        self._first = arrival.next
        arrival.next = None
        if self._first is None:
            self._last = None
        self._ready -= 1
        return arrival

    cdef Arrival _pop_last(self):
        cdef Arrival arrival = self._last, before = self._first
        if before is arrival:
            return self._pop()
        while before.next is not arrival:
            before = before.next
        before.next = None
        self._last = before
        self._ready -= 1
        return arrival

    def _drop_excess(self):
        cdef Arrival arrival
        if self._ready > self.spec.capacity:
            arrival = self._pop() if self.spec.keep == "newest" else self._pop_last()
            count_drop(self._dropped, "full")
            if arrival.envelope.flags & (INLINE_PAYLOAD | META_IN_SLAB) != INLINE_PAYLOAD:
                self._return_unseen(arrival.envelope.lane_sequence)

    def _end_with(self, tally):
        expected = tally.messages - sum(tally.dropped.values())
        if self._arrived != expected:
            raise ConservationError(
                self._name, sent=tally.messages, received=self._arrived,
                dropped=sum(tally.dropped.values()),
            )
        self._tally = tally
        self._finish_if_ended()
        self.on_change()

    def _finish_if_ended(self):
        if self._tally is not None and self._first is None and not self.ended:
            self.ended = True
            self._flush_returns()
            tally = Tally(self._received, dict(self._dropped))
            self.send_frame(frames.tally_frame(FrameType.FINAL, tally))

    cdef int departed(self) except -1:
        if not self.ended:
            self._break(LaneClosedError(self._name, "its producer is gone before the end"))
        return 0

    def _break(self, error):
        if not self._broken:
            self._broken = True
            self.on_broken(error)


cdef int _check_inside(Memory memory, uint64_t offset, uint64_t nbytes) except -1:
    if offset > memory.nbytes or nbytes > memory.nbytes - offset:
        raise ValueError(
            f"bytes {offset} to {offset + nbytes} lie outside a slab of {memory.nbytes}"
        )
    return 0
