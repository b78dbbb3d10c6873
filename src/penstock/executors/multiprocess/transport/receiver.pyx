"""The receiving end of a lane between two processes.

Messages wait in the lane's ring until they are taken; the lease on a slot ends when the last
view of it dies. A consumer that hoards leases, or pins too much of its producer's pool by them,
gets copies instead.
"""

import gc
import zlib
from collections import deque

import msgspec

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from numpy cimport ndarray

from penstock.data.message cimport new_message
from penstock.executors.multiprocess.transport.arena cimport SharedArena
from penstock.executors.multiprocess.transport.arrival cimport Arrival, Form, arrival_of
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
from penstock.executors.multiprocess.transport.port cimport LanePort
from penstock.executors.multiprocess.transport.reactor cimport Bell, Reactor
from penstock.executors.multiprocess.transport.ring cimport Ring

from penstock.bridges import (
    INTERRUPTED,
    NO_EPOCHS,
    ConsumerStatistics,
    Purpose,
    count_drop,
    no_listener,
)
from penstock.bridges.epochs import outputs_at
from penstock.data import reader
from penstock.errors import ConservationError, LaneClosedError, LaneError
from penstock.executors.multiprocess.transport import frames, sealing
from penstock.executors.multiprocess.transport.announced import AnnouncedSlabs
from penstock.executors.multiprocess.transport.frames import FrameType, Tally

MAX_LEASES = 256
"""Views on a lane's messages that may live at once before inputs are copied."""
cdef size_t _MAX_LEASES = MAX_LEASES
cdef bytes _CREDIT = frames.number_frame(FrameType.CREDIT)
cdef bytes _RELEASE = frames.number_frame(FrameType.RELEASE)

cdef enum:
    MOST_FRAMES = 4096  # that a socket holds; a producer may write faster than this end reads

cdef extern from "<sys/epoll.h>" nogil:
    int EPOLLIN, EPOLLET


cdef class LaneReceiver(LanePort):
    """A ``ConsumerEnd`` on a ring and a socket.

    ``on_change`` is called when there is something to take or the end has come,
    ``on_broken`` with the ``LaneError`` when the lane fails, and ``on_hoarding`` for each message
    that is copied because whoever takes from it keeps too much. ``on_reclaim`` is called when the
    producer is short of memory, some of which this process may have lent on. ``epochs`` say which
    messages are wanted no more, and ``read`` how to make values of descriptions and payloads.
    """

    def __init__(
        self, spec, sock, SharedArena arena not None, Reactor reactor not None, on_broken,
        epochs=NO_EPOCHS, read=reader,
    ):
        self.spec = spec
        self._reader = read
        self._epochs = epochs.words
        self._epoch_at = outputs_at(spec.slot)
        self.on_change = no_listener
        self.on_broken = on_broken
        self.on_hoarding = no_listener
        self.on_reclaim = no_listener
        self._name = spec.name
        self._source = spec.source
        self._backpressure = spec.backpressure
        # what is here before something that was sent later elsewhere
        self._comes_first = spec.purpose in (Purpose.VERDICT, Purpose.INJECTION)
        self._max_message_bytes = spec.max_message_bytes
        self._arena = arena
        self._returns = Returns(reactor, self._wake_producer)
        self._queue = deque()
        self._pin_budget = arena.budget_bytes // 4
        self._dropped = {}
        self._slabs = AnnouncedSlabs(arena, spec.name)
        self._hints = set()
        super().__init__(sock, reactor, frame_bytes=frames.LANE_FRAME_BYTES)

    cpdef object take(self):
        """The next message, as views on shared memory; None where there is none now.

        Raises ``LaneError`` for a message that is not what its envelope says.
        """
        cdef Arrival arrival = self._wanted()
        cdef int64_t started, opened, transit
        if arrival is None:
            return None
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
        transit = started - arrival.envelope.sent_ns
        self._transit_ns += max(transit, 0)
        count(&self._transit, transit)
        if self._tally is not None:
            self._finish_if_ended()
        return message

    def statistics(self):
        return ConsumerStatistics(
            received=self._received,
            conversion_ns=self._conversion_ns,
            transit_ns=self._transit_ns,
            copies=self._copies,
            held=self._returns.views,
            held_bytes=self._returns.pinned_bytes,
            waiting=self._waiting(),
            ended=self.ended,
            dropped=self._dropped,
            conversion=counts(&self._conversion),
            transit=counts(&self._transit),
        )

    @property
    def kept(self):
        """Views that live here, and are not only lent on to others."""
        return self._returns.views - self._arena.lent_on(self._returns)

    @property
    def lender_starves(self):
        """Whether the producer waits for what this process holds, or has lent on."""
        return self._ring is not None and self._ring.starved()

    def close(self):
        if self._ring is not None:
            self._reactor.unregister(self._ring.bell)
            self._ring.close()
            self._ring = None
        super().close()
        self._returns.close()
        self._queue.clear()
        self._slabs.close()

    def _waiting(self):
        """Messages that are here and not taken, as far as the producer can be believed."""
        cdef uint64_t taken = self._received + sum(self._dropped.values())
        if self._ring is None or self._ring.written() < taken:
            return 0
        return self._ring.written() - taken

    cdef Arrival _read(self):
        """The next message in the ring, checked; None where there is none."""
        cdef const unsigned char* record
        cdef size_t nbytes
        cdef Arrival arrival
        if self._ring is None and self._comes_first:
            self.drain()
        if self._ring is None:
            return None
        try:
            record = self._ring.next(&nbytes)
            if record == NULL:
                return None
            arrival = arrival_of(record, nbytes, self._count, self._max_message_bytes)
        except ValueError as exc:
            raise LaneError(self._name, str(exc)) from exc
        self._count += 1
        if self._ring.advance(nbytes):
            self._hint(_CREDIT)
        return arrival

    def _hint(self, bytes frame):
        """Have the producer look; a hint that still waits to be sent says enough."""
        if frame not in self._hints:
            self.send_frame(frame)
            if self._outbox:
                self._hints.add(frame)

    cdef Arrival _wanted(self):
        """The next message that no interrupt has made stale; those are dropped unseen."""
        cdef Arrival arrival
        while True:
            arrival = self._read() if self._backpressure else self._newest()
            if arrival is None or arrival.envelope.epoch >= self._epochs[self._epoch_at]:
                return arrival
            self._give_up(arrival, INTERRUPTED)
            if self._tally is not None:
                self._finish_if_ended()

    def _newest(self):
        """Without backpressure: take all there is, let the excess go, give the first of the rest."""
        cdef Arrival arrival
        for _ in range(2 * self.spec.capacity):  # a producer may be faster than this loop
            arrival = self._read()
            if arrival is None:
                break
            self._queue.append(arrival)
            if len(self._queue) > self.spec.capacity:
                self._drop_one()
        return self._queue.popleft() if self._queue else None

    def _drop_one(self):
        cdef Arrival arrival
        arrival = self._queue.popleft() if self.spec.keep == "newest" else self._queue.pop()
        self._give_up(arrival, "full")

    cdef int _give_up(self, Arrival arrival, str reason) except -1:
        """Count a message as dropped; its memory goes back, since nobody will look."""
        count_drop(self._dropped, reason)
        if arrival.envelope.flags & (INLINE_PAYLOAD | META_IN_SLAB) != INLINE_PAYLOAD:
            self._returns.give(arrival.envelope.lane_sequence)
        return 0

    cdef object _opened(self, Arrival arrival):
        cdef Envelope* envelope = &arrival.envelope
        cdef Form form = self._form
        cdef ndarray payload
        cdef bytes meta = arrival.meta
        if envelope.flags & META_IN_SLAB:
            meta = self._peek(meta)
        if form is None or form.kind != envelope.kind or form.meta != meta:
            form = self._form = Form(envelope.kind, meta, self._reader)
        if not envelope.flags & INLINE_PAYLOAD:
            payload = self._view(form, envelope)
        else:
            payload = array_over(
                arrival.payload, PyBytes_AS_STRING(arrival.payload), form.element,
                form.dimensions, form.fitted(envelope.length), form.fortran, False,
            )
            if envelope.flags & META_IN_SLAB:
                self._returns.give(envelope.lane_sequence)  # the description was copied
        if envelope.flags & CHECKED:
            if zlib.crc32(payload.ravel(order="K").view("u1")) != envelope.checksum:
                raise ValueError(f"its payload of {envelope.length} bytes has another checksum")
        return new_message(
            form.build(payload), envelope.sequence, envelope.part, envelope.timestamp_us,
            envelope.epoch, self._source, envelope.entered_ns,
        )

    cdef ndarray _view(self, Form form, const Envelope* envelope):
        """The payload where it lies, or a copy of it where too many views are held already."""
        cdef Memory memory = self._memory(envelope.slab_id)
        cdef Lease lease
        cdef ndarray array
        memory.check(envelope.offset, envelope.length)
        lease = self._returns.view(
            memory, envelope.offset, envelope.length, envelope.lane_sequence
        )
        array = array_on(
            lease, form.element, form.dimensions, form.fitted(envelope.length), form.fortran, False
        )
        if not self._hoarding():
            return array
        self._arena.reclaim()  # perhaps it was only lent on
        self._collect()
        if not self._hoarding():  # only cycles held what was too much
            return array
        self._copies += 1
        self.on_hoarding()
        return array.copy(order="K")

    cdef Memory _memory(self, uint32_t slab_id):
        """A slab; its announcement may still be in the socket."""
        cdef Memory memory = self._arena.memory(slab_id)
        cdef int frames_left = MOST_FRAMES
        while memory is None and frames_left and self.read():
            memory = self._arena.memory(slab_id)
            frames_left -= 1
        if memory is None:
            raise ValueError(f"it lies in slab {slab_id}, which was never announced")
        return memory

    cdef bint _hoarding(self):
        """Whether too much is kept here; what is mostly lent on comes back from those behind."""
        views, pinned = self._returns.views, self._returns.pinned_bytes
        return views > _MAX_LEASES or pinned > self._pin_budget and 2 * self.kept > views

    def _peek(self, bytes meta):
        """A description that lies in a slab."""
        cdef Location location
        if <size_t>len(meta) != sizeof(location):
            raise ValueError(f"a location has {sizeof(location)} bytes, got {len(meta)}")
        memcpy(&location, PyBytes_AS_STRING(meta), sizeof(location))
        if location.length > self._max_message_bytes:
            raise ValueError(f"its description has {location.length} bytes")
        return self._memory(location.slab_id).copied(location.offset, location.length)

    def _collect(self):
        """Free views that only cycles hold; now and then, since looking takes milliseconds."""
        if self._returns.views and self._received >= self._collect_at:
            self._collect_at = self._received + _MAX_LEASES
            gc.collect()

    def _wake_producer(self):
        """It is short of memory, and some has come back."""
        self._hint(_RELEASE)

    cdef int emptied(self) except -1:
        self._hints.clear()
        return 0

    cdef int arrived(self, bytes frame, list descriptors) except -1:
        try:
            self._handle(frame, descriptors)
        except LaneError as exc:
            self._break(exc)
        finally:
            frames.close_all(descriptors)
        return 0

    def _handle(self, bytes frame, list descriptors):
        kind = frames.frame_type(frame, self._name)
        count = len(descriptors)
        if kind == FrameType.RING and count == 2 and self._ring is None:
            self._connect(descriptors)
        elif kind == FrameType.SLAB and count == 1:
            self._slabs.adopt(frames.number_of(frame, self._name), descriptors.pop())
        elif kind in (FrameType.RING, FrameType.SLAB) and not count:
            raise LaneError(
                self._name, f"unexpected frame of type {kind} without descriptors: this process"
                " has all files open that it may (ulimit -n), or its producer sent none",
            )
        elif kind == FrameType.RETIRE:
            slab_id = frames.number_of(frame, self._name)
            self._returns.retire(slab_id)
            self._slabs.retire(slab_id)
        elif kind == FrameType.END and self._tally is None:
            self._end_with(frames.tally_of(frame, self._name))
        elif kind == FrameType.RECLAIM:
            self._collect()
            self.on_reclaim()
        else:
            raise LaneError(
                self._name, f"unexpected frame of type {kind} with {count} descriptors"
                " from the producer",
            )

    def _connect(self, list descriptors):
        """The ring is here: listen to its bell, and look what is in it already."""
        cdef Bell bell = Bell.__new__(Bell)
        cdef Ring ring
        own, descriptors[:] = list(descriptors), []
        ring = Ring.adopt(own[0], own[1], self.spec.capacity, self._name)
        bell.end = self
        with sealing.usable(self._name):
            self._reactor.watch(ring.bell, bell, EPOLLIN | <uint32_t>EPOLLET)
        self._ring = self._returns.ring = ring
        self.on_change()

    def _end_with(self, tally):
        expected = tally.messages - sum(tally.dropped.values())
        written = 0 if self._ring is None else self._ring.written()
        if written != expected:
            raise ConservationError(
                self._name, sent=tally.messages, received=written,
                dropped=sum(tally.dropped.values()),
            )
        self._tally = tally
        self._expected = expected
        self._finish_if_ended()
        self.on_change()

    def _finish_if_ended(self):
        cdef uint64_t seen = self._received + sum(self._dropped.values())
        if seen > self._expected:
            raise LaneError(self._name, "a message came after the end")
        if self.ended or seen < self._expected:
            return
        self.ended = True
        tally = Tally(self._received, dict(self._dropped))
        self.send_frame(frames.tally_frame(FrameType.FINAL, tally))

    cdef int departed(self) except -1:
        if not self.ended:
            self._break(LaneClosedError(self._name, "its producer is gone before the end"))
        return 0
