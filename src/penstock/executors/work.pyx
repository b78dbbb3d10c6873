"""What is done with each input of a node where nothing has to wait: taken, processed, given.

It is compiled, since most of what a message costs a process that sleeps between two of them is
what has to be fetched into the caches again: code, functions, types and dictionaries. What has to
wait is in ``NodeLoop``, whose coroutines can be looked into.
"""

import asyncio

cimport cython
from libc.stdint cimport int64_t

from penstock.data.message cimport Message
from penstock.executors.emitter cimport Counters, Emitter, Turn
from penstock.executors.multiprocess.transport.clock cimport now_ns
from penstock.executors.multiprocess.transport.ends cimport has_ended, taken
from penstock.executors.pulse cimport Pulse

from penstock.data import VALUE_TYPES
from penstock.executors.calling import NodeFault
from penstock.executors.node_state import NodeState

cdef object _ENABLED = NodeState.ENABLED
cdef frozenset _VALUE_TYPES = VALUE_TYPES


@cython.final
cdef class InTurn:
    """The ``Intake`` of most nodes: what has arrived, lanes in turn."""

    cdef readonly list lanes
    cdef readonly list injections
    cdef object _epochs
    cdef Py_ssize_t _last

    def __init__(self, epochs):
        self.lanes = []
        self.injections = []
        self._epochs = epochs

    cpdef object take(self):
        cdef list lanes = self.lanes + self.injections if self.injections else self.lanes
        if len(lanes) == 1:
            return taken(lanes[0])
        for _ in range(len(lanes)):
            self._last = (self._last + 1) % len(lanes)
            message = taken(lanes[self._last])
            if message is not None:
                return message
        return None

    @property
    def ended(self):
        return self._has_ended()

    def lacking(self):
        return [lane.spec.source for lane in self.lanes if not lane.ended]

    def is_stale(self, message):
        for lane in (*self.lanes, *self.injections):
            if (
                lane.spec.source == message.origin
                and message.epoch < self._epochs.of_outputs(lane.spec.slot)
            ):
                return True
        return False

    def renew(self):
        """It holds none."""

    cdef bint _has_ended(self) except -1:
        for lane in self.lanes:
            if not has_ended(lane):
                return False
        return True


cdef class Work:
    """The part of a ``NodeLoop`` that never waits.

    ``intake`` is where the node's inputs come from, ``process`` what they are handed to, or None.
    It works on them at once, as they come, where it is an ``InTurn`` and the node is ``direct``.
    """

    cdef readonly object node
    cdef readonly bint direct
    cdef readonly bint works_at_once
    cdef readonly Turn turn
    cdef readonly Counters stats
    cdef public object state
    cdef public object trail
    cdef readonly object _context
    cdef readonly object _intake
    cdef readonly Emitter _emitter
    cdef readonly object _pump
    cdef readonly Pulse _pulse
    cdef readonly object _process
    cdef public object _result
    cdef public object _fault
    cdef public object _held
    cdef public bint _idle

    def __init__(
        self,
        node,
        process,
        intake,
        Emitter emitter not None,
        Counters stats not None,
        pump,
        Pulse pulse not None,
        *,
        bint direct,
    ):
        self.node = node
        self.direct = direct
        self.works_at_once = direct and isinstance(intake, InTurn)
        self.turn = emitter.turn
        self.stats = stats
        self.state = _ENABLED
        self._context = node.ctx
        self._intake = intake
        self._emitter = emitter
        self._pump = pump
        self._pulse = pulse
        self._process = process

    def arrived(self):
        """A lane has changed: work on what has come right here, where nothing has to wait.

        Waking the task that ``run`` is in takes as long again. That has the rest: a second
        input, a new turn, the end, and whatever was raised.
        """
        cdef bint is_free = self._idle and self._held is None and self._fault is None
        if not (self.works_at_once and is_free and self._worked_on_one()):
            self._pump.notify()

    def accept(self, Message message not None):
        """Work on a message at once, as a call from its producer; False where it must queue.

        What it raises is this node's affair: ``run`` is woken and raises it.
        """
        return self._accepted(message)

    def _work(self, Message message not None):
        """Process an input, and give its one result, as far as nothing has to wait."""
        self._process_one(message)

    def _begin(self, Message message not None):
        """Work on an input begins."""
        self._begin_one(message)

    def _conclude(self, result):
        """Give the result, or leave several to who can wait."""
        self._conclude_one(result)

    def _count_item(self):
        """Count the time that the node took for an input, or for a product, in all its calls."""
        self._count_one()

    cdef bint _worked_on_one(self) noexcept:
        """Whether there was one input and no more, and nothing is left to do."""
        cdef InTurn intake = self._intake
        try:
            message = intake.take()
            if message is not None and not self._accepted(message):
                self._held = message  # something was interrupted as it was taken
            elif self._idle:
                self._held = intake.take()
                return self._held is None and not intake._has_ended()
        except BaseException as exc:  # the lane's, which ``run`` raises
            self._fault = exc
        return False

    cdef bint _accepted(self, Message message) except -1:
        if not self._idle:
            return False
        if self.turn._has_news():  # the node has to be told first
            self._pump.notify()
            return False
        self._idle = False
        try:
            if self.state is _ENABLED:
                self._process_one(message)
            else:
                for value in self._passed_by(message):
                    self._emitter.give(value, "process")
        except BaseException as exc:  # nothing of it is the producer's
            self._fault = exc
        if self._fault is None and self._result is None and not self._emitter.waiting:
            self._idle = True
        else:
            self._pump.notify()
        return True

    cdef int _process_one(self, Message message) except -1:
        cdef int64_t started
        self._begin_one(message)
        started = now_ns()
        self._pulse.show(started)
        try:
            result = self._process(message.value)
        except (Exception, asyncio.CancelledError) as exc:
            raise NodeFault("process") from exc
        finally:
            self._pulse.show(0)
            self.stats.execution_ns += now_ns() - started
        return self._conclude_one(result)

    cdef int _begin_one(self, Message message) except -1:
        self._context.arrival = message
        self._emitter.stamper.follow(message)
        self.stats.items += 1
        if self.trail is not None:
            self.trail.begin(message)
        return 0

    cdef int _conclude_one(self, result) except -1:
        if result is not None and type(result) not in _VALUE_TYPES:
            self._result = result
            return 0
        self._context.arrival = None
        self._count_one()
        if result is not None:
            self._emitter.give(result, "process")
        return 0

    cdef int _count_one(self) except -1:
        self.stats.count_item()
        if self.trail is not None:
            self.trail.end()
        return 0
