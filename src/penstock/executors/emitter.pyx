"""What becomes of a node's outputs: stamped, counted, and offered to its lanes."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from penstock.data.message cimport Message, new_message
from penstock.executors.multiprocess.transport.clock cimport count, counts
from penstock.executors.multiprocess.transport.ends cimport offered

from penstock.bridges import CLIENT_SLOT, NO_EPOCHS
from penstock.bridges.epochs import outputs_at, work_at
from penstock.data import types_of
from penstock.errors import LaneError
from penstock.executors.calling import NodeFault
from penstock.executors.side_lanes import SideLanes, Verdict
from penstock.executors.statistics import NodeStatistics

cdef extern from "multiprocess/transport/atomics.h" nogil:
    uint64_t load_acquire(const uint64_t* at)

cdef enum:
    REMEMBERED = 1024  # half as many inputs one way into a fan-in may be ahead of another


@cython.final
cdef class Counters:
    """What is counted of a node; see ``NodeStatistics``, which ``measured`` makes of it."""

    cdef int count_item(self) except -1:
        """Count the time that the node took for an input, or a product, in all its calls."""
        count(&self._processing, self.execution_ns - self._counted_ns)
        self._counted_ns = self.execution_ns
        return 0

    def count_overlapping(self, int64_t time_ns):
        """The same of one that was worked on beside others, from its beginning to its end."""
        count(&self._processing, time_ns)
        self._counted_ns += time_ns

    def measured(self):
        return NodeStatistics(
            items=self.items,
            outputs=self.outputs,
            unmatched=self.unmatched,
            interrupted=self.interrupted,
            skipped=self.skipped,
            withheld=self.withheld,
            execution_ns=self.execution_ns,
            processing_ns=self._counted_ns,
            processing=counts(&self._processing),
        )


@cython.final
cdef class Turn:
    """A node's view of the page of epochs: as of its last look, and what it began with.

    ``epoch`` is what its outputs are stamped with, ``begun`` the turn that its current work was
    begun in, ``latest`` the one that it should be in. ``asked`` counts the interrupts that the
    node has asked for, maybe on a thread of its own, ``answered`` those that have come about.
    """

    def __init__(self, epochs=NO_EPOCHS, slot=CLIENT_SLOT):
        cdef const uint64_t[::1] words = epochs.words
        self._page = epochs.words
        self._serial = &words[0]
        self._of_outputs = &words[outputs_at(slot)]
        self._of_work = &words[work_at(slot)]
        self._look()
        self.begun = self.latest

    @property
    def has_news(self):
        """Whether anything was interrupted since the last look, or the turn has changed by then."""
        return self._has_news()

    @property
    def is_over(self):
        """Whether what the node is at is for nothing."""
        return self._is_over()

    @property
    def is_asking(self):
        """Whether what the node gives next has to wait for an interrupt, to be of a new turn."""
        return self.asked != self.answered

    @property
    def newest(self):
        """The turn that the node's work should be in now; for any thread."""
        return load_acquire(self._of_work)

    cdef void _look(self) noexcept:
        """See what the page says now. Its first word is written last, so it is read first."""
        self._seen = load_acquire(self._serial)
        self.epoch = load_acquire(self._of_outputs)
        self.latest = load_acquire(self._of_work)

    def begin(self):
        """Be in the latest turn from now on; whether that is another than before."""
        self._look()
        changed = self.latest != self.begun
        self.begun = self.latest
        return changed

    def has_passed(self, Message message not None):
        """Whether an output that the node made earlier is stale by now."""
        return self._is_over() or message.epoch < self.epoch

    cdef bint _has_news(self) noexcept:
        return load_acquire(self._serial) != self._seen or self.latest != self.begun

    cdef bint _is_over(self) noexcept:
        if load_acquire(self._serial) != self._seen:
            self._look()
        return self.latest != self.begun


@cython.final
cdef class Stamper:
    """Numbers a node's outputs: the sequence of the last input, and a part within it.

    The parts of a sequence are counted on when another input comes in between, as it may
    behind a fan-in, for as long as that is one of the last thousand. The epoch is that of the
    node's ``turn`` at that moment.
    """

    def __init__(self, str node_id, Turn turn):
        self._node_id = node_id
        self._turn = turn
        self._recent = {}
        self._older = {}

    cpdef int follow(self, Message message) except -1:
        """What comes next is made of this input."""
        if message.sequence != self._sequence:
            self._turn_to(message.sequence)
        self._timestamp_us = message.timestamp_us
        self._entered_ns = message.entered_ns
        return 0

    def advance(self):
        """What comes next is made of nothing: a producer's own numbering."""
        self._turn_to(self._sequence + 1)

    cpdef Message stamp(self, value):
        self._part += 1
        return new_message(
            value, self._sequence, self._part - 1, self._timestamp_us, self._turn.epoch,
            self._node_id, self._entered_ns,
        )

    def skip_to(self, uint64_t part):
        """Go on with this part at least, where it was too long ago to be known; the part."""
        self._part = max(self._part, part)
        return self._part

    cdef int _turn_to(self, uint64_t sequence) except -1:
        cdef dict recent = self._recent
        recent[self._sequence] = self._part
        if len(recent) >= REMEMBERED:
            self._older, self._recent = recent, {}
        self._sequence = sequence
        part = recent.get(sequence)
        self._part = self._older.get(sequence, 0) if part is None else part
        return 0


@cython.final
cdef class Emitter:
    """Stamps and counts outputs, and offers them to each lane as it has space.

    ``waiting`` are the lanes that had no space for the last output, or must wait for an interrupt
    that comes first, or, while it is ``parked``, for a verdict; the next may be given when there
    are none. What is for a ``turn`` that is over is dropped, and so is all that a ``muted`` node
    gives. Who watches by the ``side`` lanes sees an output before anybody changes it.
    """

    def __init__(self, identity, Counters counters not None, Turn turn not None):
        self.lanes = []
        self.waiting = []
        self.side = SideLanes()
        self.stamper = Stamper(identity.node_id, turn)
        self.turn = turn
        self.emits = identity.emits
        self._types = types_of(identity.emits)
        self._counters = counters

    cpdef int give(self, value, str during) except -1:
        """Offer an output of the method ``during``.

        Raises ``NodeFault`` for one that isn't declared or that a lane can't carry, and
        ``LaneError`` where a lane fails.
        """
        if type(value) not in self._types and value.kind not in self.emits:
            raise NodeFault(during) from TypeError(
                f"gave {value.kind}, but declares {', '.join(sorted(self.emits)) or 'nothing'}"
            )
        if self.muted:
            self._counters.skipped += 1
        elif self.turn.asked != self.turn.answered:
            self._value, self.waiting = value, list(self.lanes)
        elif self.turn._is_over():
            self._counters.interrupted += 1
        else:
            self._counters.outputs += 1
            message = self.stamper.stamp(value)
            if self.side.idle:
                self._offer(self.lanes, message, during)
            else:
                self._show(message, during)
        return 0

    def give_again(self, str during):
        """Offer the last output to the lanes that had no space for it."""
        if self._value is not None:
            self._give_what_was_held(during)
            return
        lanes, self.waiting = self.waiting, []
        message, self._message = self._message, None
        if message is None:
            return
        if self.turn.has_passed(message):
            self.parked = False
            self._counters.interrupted += 1
        elif self.parked:
            self._decide(message, lanes, during)
        else:
            self._offer(lanes, message, during)

    cdef int _show(self, message, str during) except -1:
        """Let others see the output before it leaves, and wait for who decides about it."""
        self.side.show(message)
        if self.side.intercepted:
            self.side.ask()
            self.parked = True
            self._decide(message, list(self.lanes), during)
        else:
            self._offer(self.lanes, message, during)
        return 0

    cdef int _decide(self, message, list lanes, str during) except -1:
        verdict = self.side.verdict(message)
        if verdict is None:
            self.waiting, self._message = lanes, message
            return 0
        self.parked = False
        decided, message = verdict
        if decided is Verdict.DROP:
            self._counters.withheld += 1
        else:
            self._offer(lanes, message, during)
        return 0

    cdef int _give_what_was_held(self, str during) except -1:
        """The output that came after an interrupt was asked for, once that has come about."""
        if self.turn.asked == self.turn.answered:
            value, self._value, self.waiting = self._value, None, []
            self.give(value, during)
        return 0

    cdef int _offer(self, list lanes, message, str during) except -1:
        try:
            for lane in lanes:
                if not offered(lane, message):
                    self.waiting.append(lane)
                    self._message = message
        except LaneError:
            raise
        except Exception as exc:
            raise NodeFault(during) from exc
        return 0
