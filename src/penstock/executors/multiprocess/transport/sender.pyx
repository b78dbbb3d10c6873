"""The sending end of a lane between two processes.

The window bounds what waits on the lane: sent, and not yet taken by the consumer. A message's
slot is held until the consumer's last view of it is gone.
"""

from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from penstock.executors.multiprocess.transport.clock cimport count, counts, now_ns
from penstock.executors.multiprocess.transport.envelope cimport Envelope
from penstock.executors.multiprocess.transport.memory cimport Lease
from penstock.executors.multiprocess.transport.placing cimport Placed, Placer
from penstock.executors.multiprocess.transport.port cimport Port
from penstock.executors.multiprocess.transport.reactor cimport Reactor

from penstock.bridges import (
    LaneEvent,
    LaneState,
    ProducerStatistics,
    close_lane,
    count_drop,
    lane_machine,
    no_listener,
)
from penstock.errors import ConservationError, LaneClosedError, LaneError
from penstock.executors.multiprocess.transport import frames
from penstock.executors.multiprocess.transport.frames import FrameType, Tally

cdef enum:
    LARGEST_MESSAGE_FRAME = 4096

cdef int _VERSION = frames.VERSION
cdef int _DATA = FrameType.DATA


cdef class LaneSender(Port):
    """A ``ProducerEnd`` on a socket.

    ``on_change`` is called when there may be space again or the consumer confirmed the end,
    ``on_broken`` with the ``LaneError`` when the lane fails.
    """

    def __init__(self, spec, sock, Placer placer not None, Reactor reactor not None, on_broken):
        super().__init__(sock, reactor, frame_bytes=frames.LANE_FRAME_BYTES)
        self.spec = spec
        self.finished = False
        self.on_change = no_listener
        self.on_broken = on_broken
        self._name = spec.name
        self._accepts = spec.accepts
        self._backpressure = spec.backpressure
        self._verify = spec.verify
        self._placer = placer
        self._machine = lane_machine(spec.name)
        self._held = deque()
        self._dropped = {}
        self._leases = {}
        self._announced = set()
        self._window = spec.capacity if spec.backpressure else (spec.capacity + 1) // 2

    cpdef bint offer(self, message) except -1:
        """Take the message, or say False where the producer has to wait for ``on_change``.

        Raises what ``Placer.place`` does.
        """
        if message.value.kind not in self._accepts:
            self._filtered += 1
            return True
        if self._broken or self._blocked:
            return False
        if not self._backpressure:
            self._hold(message)
            return True
        if self._transmitted - self._taken >= self._window or not self._transmit(message):
            self._block()
            return False
        self._sent_count += 1
        return True

    def end(self):
        """Say that nothing more comes; END follows what still waits here."""
        self._ending = True
        self._end_if_empty()

    def statistics(self):
        self._count_blocked()
        return ProducerStatistics(
            state=self._machine.state,
            sent=self._sent_count,
            payload_bytes=self._payload_bytes,
            conversion_ns=self._conversion_ns,
            copies=self._copies,
            filtered=self._filtered,
            blocked_ns=self._blocked_ns,
            waiting=len(self._held) + self.waiting,
            dropped=self._dropped,
            conversion=counts(&self._conversion),
        )

    def close(self):
        self._count_blocked()
        close_lane(self._machine)
        super().close()
        self._held.clear()
        self._placer.arena.forsake(self._leases.values())
        self._leases.clear()

    def memory_freed(self):
        """A slot is free again somewhere in the arena."""
        self._space_available()

    def reclaim(self):
        """Ask the consumer to give slots back at once: the arena is full."""
        if self._leases:
            self.send_frame(frames.number_frame(FrameType.RECLAIM))

    def retire(self, uint32_t slab_id):
        """Tell the consumer that a slab has been given up."""
        if slab_id in self._announced:
            self._announced.discard(slab_id)
            self.send_frame(frames.number_frame(FrameType.RETIRE, slab_id))

    def _hold(self, message):
        """Without backpressure what finds no space waits here, and the excess is dropped."""
        self._sent_count += 1
        self._held.append(message)
        self._send_held()
        if len(self._held) > max(self.spec.capacity - self._window, 1):
            self._held.popleft() if self.spec.keep == "newest" else self._held.pop()
            count_drop(self._dropped, "no credit")

    def _send_held(self):
        while self._held and self._transmitted - self._taken < self._window:
            if not self._transmit(self._held[0]):
                return
            self._held.popleft()
        self._end_if_empty()

    cdef bint _transmit(self, message) except -1:
        """Place and send the message; False while there is no memory for it.

        A message that leaves at once passes through states that nobody can see; they are
        walked only when it has to stay in one.
        """
        cdef int64_t started = now_ns()
        cdef Placed placed = self._placer.place(message.value, self._verify)
        if placed is None:
            return False
        if placed.lease is not None or placed.meta_lease is not None:
            self._lease_out(placed)
        self._launch(placed, message, started)
        if self._outbox:
            self._step_to_transferring()
            self._machine.step(LaneEvent.CONVERSION_NEEDED)
            self._machine.step(LaneEvent.CONVERTED)
        return True

    cdef int _launch(self, Placed placed, message, int64_t started) except -1:
        """Count the message, which is placed, and send its frame."""
        cdef unsigned char[LARGEST_MESSAGE_FRAME] frame
        cdef Envelope* envelope = <Envelope*>frame
        cdef size_t nbytes = sizeof(Envelope), meta_bytes = PyBytes_GET_SIZE(placed.meta)
        envelope.version = _VERSION
        envelope.frame = _DATA
        envelope.kind = placed.kind
        envelope.flags = placed.flags
        envelope.meta_bytes = meta_bytes
        envelope.unused = 0
        envelope.epoch = message.epoch
        envelope.part = message.part
        envelope.lane_sequence = self._transmitted
        envelope.sequence = message.sequence
        envelope.timestamp_us = message.timestamp_us
        envelope.slab_id = placed.lease.memory.slab_id if placed.lease is not None else 0
        envelope.checksum = placed.checksum
        envelope.offset = placed.offset
        envelope.length = placed.length
        memcpy(frame + nbytes, PyBytes_AS_STRING(placed.meta), meta_bytes)
        nbytes += meta_bytes
        if placed.payload is not None:
            memcpy(frame + nbytes, PyBytes_AS_STRING(placed.payload), placed.length)
            nbytes += placed.length
        self._transmitted += 1
        self._payload_bytes += placed.length
        self._copies += placed.copied
        envelope.sent_ns = now_ns()
        self._conversion_ns += envelope.sent_ns - started
        count(&self._conversion, envelope.sent_ns - started)
        return self.post(frame, nbytes)

    cdef int _lease_out(self, Placed placed) except -1:
        cdef Lease lease
        self._leases[self._transmitted] = placed
        for lease in (placed.lease, placed.meta_lease):
            if lease is not None and lease.memory.slab_id not in self._announced:
                self._announced.add(lease.memory.slab_id)
                self.send_frame(
                    frames.number_frame(FrameType.SLAB, lease.memory.slab_id), [lease.memory.fd]
                )
        return 0

    def _end_if_empty(self):
        if self._ending and not self._held:
            self._ending = False
            tally = Tally(self._sent_count, dict(self._dropped))
            self.send_frame(frames.tally_frame(FrameType.END, tally))

    def _step_to_transferring(self):
        if self._machine.state is LaneState.IDLE:
            self._machine.step(LaneEvent.DATA_AVAILABLE)
        elif self._machine.state is LaneState.BUFFERING:
            self._machine.step(LaneEvent.TARGET_READY)

    cdef int drained(self) except -1:
        self._settle()
        return 0

    def _settle(self):
        """Everything that was converted has left."""
        if self._machine.state is LaneState.BUFFERING:
            self._machine.step(LaneEvent.TARGET_READY)
        if self._machine.state is LaneState.TRANSFERRING:
            self._machine.step(LaneEvent.TRANSFERRED)

    def _block(self):
        self._step_to_transferring()
        self._machine.step(LaneEvent.NO_SPACE)
        self._blocked = True
        self._blocked_since = now_ns()

    def _count_blocked(self):
        """A block that lasts counts up to now."""
        cdef int64_t now
        if self._machine.state is LaneState.BLOCKED:
            now = now_ns()
            self._blocked_ns += now - self._blocked_since
            self._blocked_since = now

    def _space_available(self):
        if self._blocked:
            self._blocked = False
            self._count_blocked()
            self._machine.step(LaneEvent.SPACE_AVAILABLE)
            if not self._outbox:
                self._settle()
        if self._held:
            self._send_held()
        self.on_change()

    cdef int arrived(self, const unsigned char* frame, size_t nbytes, list descriptors) except -1:
        try:
            self._handle(PyBytes_FromStringAndSize(<const char*>frame, nbytes))
        except LaneError as exc:
            self._break(exc)
        finally:
            frames.close_all(descriptors)
        return 0

    def _handle(self, bytes frame):
        kind = frames.frame_type(frame, self._name)
        if kind == FrameType.CREDIT:
            self._credit(frames.number_of(frame, self._name))
        elif kind == FrameType.RELEASE:
            for lane_sequence in frames.released(frame, self._name):
                self._leases.pop(lane_sequence, None)
        elif kind == FrameType.FINAL:
            self._finish(frames.tally_of(frame, self._name))
        else:
            raise LaneError(self._name, f"unexpected frame of type {kind} from the consumer")

    def _credit(self, taken):
        if not self._taken <= taken <= self._transmitted:
            raise LaneError(
                self._name, f"credit for {taken} messages, but {self._transmitted} were sent"
            )
        self._taken = taken
        self._space_available()

    def _finish(self, final):
        dropped = sum(self._dropped.values()) + sum(final.dropped.values())
        if self._sent_count != final.messages + dropped:
            raise ConservationError(
                self._name, sent=self._sent_count, received=final.messages, dropped=dropped
            )
        self.finished = True
        self.on_change()

    cdef int departed(self) except -1:
        if not self.finished:
            self._break(LaneClosedError(self._name, "its consumer is gone before the end"))
        return 0

    def _break(self, error):
        if not self._broken:
            self._broken = True
            self.on_broken(error)
