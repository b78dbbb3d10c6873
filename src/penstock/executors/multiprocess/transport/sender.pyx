"""The sending end of a lane between two processes.

Messages go through the lane's ring, everything else over its socket. The window bounds what
waits on the lane: sent, and not yet taken by the consumer. A message's slot is held until the
consumer's last view of it is gone.
"""

from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t

from penstock.data.message cimport Message
from penstock.executors.multiprocess.transport.clock cimport count, counts, now_ns
from penstock.executors.multiprocess.transport.loans cimport Loans
from penstock.executors.multiprocess.transport.memory cimport Lease
from penstock.executors.multiprocess.transport.placing cimport Placed, Placer
from penstock.executors.multiprocess.transport.port cimport LanePort
from penstock.executors.multiprocess.transport.reactor cimport Reactor
from penstock.executors.multiprocess.transport.ring cimport Ring

from penstock.bridges import (
    LaneEvent,
    LaneState,
    ProducerStatistics,
    close_lane,
    count_drop,
    count_filtered,
    lane_machine,
    no_listener,
)
from penstock.data import types_of
from penstock.errors import ConservationError, LaneClosedError, LaneError
from penstock.executors.multiprocess.transport import frames
from penstock.executors.multiprocess.transport.frames import FrameType, Tally

cdef enum:
    LARGEST_RECORD = 4096


cdef class LaneSender(LanePort):
    """A ``ProducerEnd`` on a ring and a socket.

    ``on_change`` is called when there may be space again or the consumer confirmed the end,
    ``on_broken`` with the ``LaneError`` when the lane fails, and ``on_release`` when something
    has come back that was to be reclaimed. The consumer tells of neither twice before this end
    has heard it.
    """

    def __init__(self, spec, sock, Placer placer not None, Reactor reactor not None, on_broken):
        self.spec = spec
        self.finished = False
        self.on_change = no_listener
        self.on_broken = on_broken
        self.on_release = no_listener
        self._name = spec.name
        self._accepts = spec.accepts
        self._types = types_of(spec.accepts)
        self._backpressure = spec.backpressure
        self._verify = spec.verify
        self._placer = placer
        self._ring = Ring.create(spec.capacity)
        self._loans = Loans(self._ring)
        placer.arena.lend(self._loans)
        self._queue = deque()
        self._machine = lane_machine(spec.name)
        self._held = deque()
        self._dropped = {}
        self._filtered = {}
        self._announced = set()
        self._step = max(spec.capacity // 4, 1)
        self._window = spec.capacity if spec.backpressure else (spec.capacity + 1) // 2
        super().__init__(sock, reactor, frame_bytes=frames.LANE_FRAME_BYTES)
        self.send_frame(frames.number_frame(FrameType.RING), [self._ring.fd, self._ring.bell])

    cpdef bint offer(self, Message message) except -1:
        """Take the message, or say False where the producer has to wait for ``on_change``.

        Raises what ``Placer.place`` does.
        """
        if type(message.value) not in self._types and message.value.kind not in self._accepts:
            count_filtered(self._filtered, message.value.kind)
            return True
        if self._broken or self._blocked or self._closed:
            return False
        if not self._backpressure:
            self._hold(message)
            return True
        if not self._has_room() or not self._transmit(message):
            self._block()
            return False
        self._sent_count += 1
        return True

    @property
    def lent(self):
        """Messages whose payload the consumer may still look at, as far as it has told."""
        self._loans.reclaim()
        return len(self._loans.open)

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
            waiting=len(self._held) + len(self._queue),
            dropped=self._dropped,
            conversion=counts(&self._conversion),
        )

    def close(self):
        self._count_blocked()
        close_lane(self._machine)
        if not self._closed:
            self._closed = True
            if self.spec.is_copied:
                self._placer.arena.settle(self._loans)
            else:
                self._placer.arena.forsake(self._loans)
        self._blocked = False
        self._ring.close()
        super().close()
        self._queue.clear()
        self._held.clear()

    def memory_freed(self):
        """A slot is free again somewhere in the arena."""
        if not self._closed:
            self._space_available()

    def reclaim(self):
        """Take back what the consumer doesn't look at; have it make haste with the rest.

        That goes for what it gets from now on, too: some of it may be on its way through here.
        """
        self._take_back()
        if not self._starves and not self._closed:
            self._starves = True
            self._ring.starve()
            self._take_back()  # what came back before it could know
            self.send_frame(frames.number_frame(FrameType.RECLAIM))

    cdef int _take_back(self) except -1:
        self._loans.reclaim()
        if self._loans.broken:
            self._break(LaneError(self._name, "more is said to be given back than was lent"))
        return 0

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
        while self._held and self._has_room():
            message = self._held.popleft()
            try:
                if not self._transmit(message):
                    self._held.appendleft(message)
                    return
            except BaseException:
                self._sent_count -= 1  # its producer is told that it can't be sent
                raise
        self._end_if_empty()

    cdef bint _has_room(self) except -1:
        """Whether the window is open; if not, the consumer will say when it is."""
        if self._transmitted - self._taken < self._window:
            return True
        self._look()
        if self._transmitted - self._taken < self._window:
            return True
        if self._queue or self._broken:  # what waits for the ring is waited for already
            return False
        return self._room_after(self._transmitted - self._window + self._step)

    cdef bint _room_after(self, uint64_t taken) except -1:
        """Whether so many are taken; if not, CREDIT will tell of it, or of less."""
        if not self._asked:
            self._asked = not self._ring.room_after(taken)
        return not self._asked

    cdef int _look(self) except -1:
        """How far is the consumer?"""
        try:
            self._taken = self._ring.taken(self._taken, self._transmitted - len(self._queue))
        except ValueError as exc:
            self._break(LaneError(self._name, str(exc)))
        return 0

    cdef bint _transmit(self, Message message) except -1:
        """Place and send the message; False while there is no memory for it.

        A message that leaves at once passes through states that nobody can see; they are
        walked only when it has to stay in one.
        """
        cdef unsigned char[LARGEST_RECORD] record
        cdef int64_t started = now_ns()
        cdef int64_t spent
        cdef size_t nbytes
        cdef Placed placed = self._placer.place(message.value, self._verify)
        self._take_back()  # who only passes on allocates nothing, and would never look
        if placed is None:
            return False
        nbytes = placed.write(record, message, self._transmitted)
        if placed.lease is not None or placed.meta_lease is not None:
            self._lease_out(placed)
        self._transmitted += 1
        self._payload_bytes += placed.length
        self._copies += placed.copied
        spent = now_ns() - started
        self._conversion_ns += spent
        count(&self._conversion, spent)
        self._send(record, nbytes)
        return True

    cdef int _send(self, const unsigned char* record, size_t nbytes) except -1:
        """Into the ring; behind those that found no room, or whose slab is not announced yet."""
        if self._broken:
            return 0  # its slab could not be announced
        if self._queue or self._outbox or not self._put(record, nbytes):
            self._keep_back(PyBytes_FromStringAndSize(<const char*>record, nbytes))
        return 0

    cdef bint _put(self, const void* record, size_t nbytes) except -1:
        try:
            return self._ring.put(record, nbytes)
        except ValueError as exc:
            self._break(LaneError(self._name, str(exc)))
            return False

    def _keep_back(self, bytes record):
        """The ring is full of short messages: the consumer says when half of them are taken."""
        self._queue.append(record)
        if len(self._queue) == 1:
            self._step_to_transferring()
            self._machine.step(LaneEvent.CONVERSION_NEEDED)
            self._machine.step(LaneEvent.CONVERTED)
            self._flush_queue()

    def _flush_queue(self):
        cdef bytes record
        cdef uint64_t sent
        while self._queue:
            if self._outbox or self._broken:
                return
            self._look()
            record = self._queue[0]
            if self._put(PyBytes_AS_STRING(record), PyBytes_GET_SIZE(record)):
                self._queue.popleft()
                continue
            sent = self._transmitted - len(self._queue)
            if self._taken == sent:
                self._break(LaneError(self._name, "all is said to be taken, yet its ring is full"))
            elif not self._room_after(sent - (sent - self._taken) // 2):
                return
        self._settle()
        self._end_if_empty()

    cdef int _lease_out(self, Placed placed) except -1:
        cdef Lease lease
        for lease in (placed.lease, placed.meta_lease):
            if lease is not None and lease.memory.slab_id not in self._announced:
                self.send_frame(
                    frames.number_frame(FrameType.SLAB, lease.memory.slab_id), [lease.memory.fd]
                )
                self._announced.add(lease.memory.slab_id)
        self._loans.open[self._transmitted] = placed
        return 0

    def _end_if_empty(self):
        if self._ending and not self._held and not self._queue:
            self._ending = False
            self._ended = True
            tally = Tally(self._sent_count, dict(self._dropped))
            self.send_frame(frames.tally_frame(FrameType.END, tally))

    def _step_to_transferring(self):
        if self._machine.state is LaneState.IDLE:
            self._machine.step(LaneEvent.DATA_AVAILABLE)
        elif self._machine.state is LaneState.BUFFERING:
            self._machine.step(LaneEvent.TARGET_READY)

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
            if not self._queue:
                self._settle()
        if self._held:
            self._send_held()
        self.on_change()

    cdef int arrived(self, bytes frame, list descriptors) except -1:
        try:
            self._handle(frame)
        except LaneError as exc:
            self._break(exc)
        finally:
            frames.close_all(descriptors)
        return 0

    def _handle(self, bytes frame):
        kind = frames.frame_type(frame, self._name)
        if kind == FrameType.CREDIT:
            self._credit()
        elif kind == FrameType.RELEASE:
            self._starves = False
            self._take_back()
            self.on_release()
        elif kind == FrameType.FINAL:
            self._finish(frames.tally_of(frame, self._name))
        else:
            raise LaneError(self._name, f"unexpected frame of type {kind} from the consumer")

    def _credit(self):
        """The consumer has taken what this end waits for."""
        self._asked = False
        self._go_on()

    def _go_on(self):
        self._look()
        if self._queue:
            self._flush_queue()
        self._space_available()

    cdef int emptied(self) except -1:
        """The slabs are announced that records wait for."""
        if self._queue:
            self._go_on()
        return 0

    def _finish(self, final):
        if not self._ended or self.finished:
            raise LaneError(self._name, "its consumer says that it ended, and nobody asked")
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
