"""What a session's inputs and outputs come by in its own process, as far as nothing waits.

Compiled, as what comes before and after it is; the coroutines are in ``Inlet``, ``Gateway`` and
``Reading``, which are made of this.
"""

from libc.stdint cimport int64_t

from penstock.data.message cimport Message
from penstock.executors.multiprocess.transport.clock cimport now_ns
from penstock.executors.multiprocess.transport.ends cimport has_ended, offered, taken

from penstock.errors import InputError, InvalidValueError, SessionClosedError
from penstock.executors.pump import LoopPump
from penstock.session.output import Output

AT_ONCE = AT_A_TIME
"""So many outputs are handed over without a wait, then others have their turn."""

cdef enum:
    AT_A_TIME = 4


cdef class Tally:
    """What a session counts itself: inputs by kind, outputs, and the time from one to the other."""

    def __init__(self):
        self.kinds = {}
        self._began_ns = now_ns()

    @property
    def average_latency_s(self):
        return self._total_s / self._timed if self._timed else None

    cpdef object arrived(self, int64_t entered_ns):
        """Count an output; seconds since its input was sent, None where none was at such a time.

        It has come through the processes of nodes, and isn't believed.
        """
        cdef int64_t now = now_ns()
        cdef double latency_s
        self.outputs += 1
        if not self._began_ns <= entered_ns <= now:
            return None
        latency_s = (now - entered_ns) / 1e9
        self._total_s += latency_s
        self._timed += 1
        return latency_s

    cdef int forget(self, latency_s) except -1:
        """An output that was counted with that has not left after all."""
        self.outputs -= 1
        if latency_s is not None:
            self._total_s -= latency_s
            self._timed -= 1
        return 0

    cdef int count_input(self, kind) except -1:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        return 0


cdef class Crossing:
    """A lane into a node; ``_putting`` are those who wait to send."""

    def __init__(self, end):
        self.end = end

    @property
    def is_waiting(self):
        """Whether somebody is sending, and can't go on."""
        return self._putting > 0

    cdef bint offer(self, Message message) except -1:
        try:
            return offered(self.end, message)
        except (ValueError, TypeError) as exc:
            name = self.end.spec.target
            said = f"node {name!r} can't be sent this: {exc}"
            raise InvalidValueError(said, node_id=name) from exc

    def _offered(self, Message message not None):
        return self.offer(message)


cdef class Crossings:
    """All lanes between a client and its session, by node ID.

    ``_at_once`` is called where something comes to be taken, and says whether that was taken; else
    who waits at the pump is woken.
    """

    def __init__(self):
        self.inlets = {}
        self.outlets = {}
        self._pump = LoopPump()
        self._in_turn = []

    def add_outlet(self, node_id, end):
        end.on_change = self._arrived
        self.outlets[node_id] = end
        self._in_turn.append((node_id, end))

    @property
    def drained(self):
        """Whether every sink has ended and everything was taken."""
        return self.has_drained()

    def take(self):
        """What comes out next, or None where there is nothing now; each sink has its turn."""
        message = self.taken()
        return None if message is None else (self._sink, message)

    cdef Crossing into(self, node_id, Message message):
        """The inlet for a message; raises ``InputError`` where it can't be taken."""
        cdef Crossing inlet = self.inlets.get(node_id)
        if inlet is None:
            known = ", ".join(sorted(self.inlets)) or "none"
            said = f"node {node_id!r} takes no inputs from outside (these do: {known})"
            raise InputError(said, node_id=node_id)
        accepts = inlet.end.spec.accepts
        if message.value.kind not in accepts:
            known = ", ".join(sorted(accepts))
            said = f"node {node_id!r} accepts {known}, got {message.value.kind}"
            raise InvalidValueError(said, node_id=node_id)
        if self.ended:
            raise SessionClosedError("the session's inputs have ended")
        return inlet

    cdef Message taken(self):
        """The next output, and in ``_sink`` where it comes from."""
        cdef list in_turn = self._in_turn
        for _ in range(len(in_turn)):
            self._sink, end = in_turn[self._next]
            self._next = (self._next + 1) % len(in_turn)
            message = taken(end)
            if message is not None:
                return message
        return None

    cdef bint has_drained(self) except -1:
        for _, end in self._in_turn:
            if not has_ended(end):
                return False
        return True

    def _arrived(self):
        if self._at_once is None or not self._at_once():
            self._pump.notify()


cdef class Handing:
    """Takes outputs for a reader who asks, and hands them over ``at_once`` while he waits.

    Whatever that refuses, or raises, is what he gets next; unless an interrupt has made it stale.
    """

    def __init__(self, life, Tally counters not None, trail, at_once):
        self._life = life
        self._gateway = life.gateway
        self._tally = counters
        self._trail = trail
        self._at_once = at_once

    def take(self):
        """The next output, which is being read until ``done``; None where there is none now."""
        if self._fault is not None:
            raise self._fault
        output, self._refused = self._refused, None
        if output is not None and self._is_stale(output):
            self._tally.forget(output.latency_s)
            output = None
        return output or self._taken()

    def done(self):
        """The output that was taken last has been read."""
        if self._trail is not None:
            self._trail.end()

    cdef object _taken(self):
        cdef Message message = self._gateway.taken()
        if message is None:
            return None
        if self._trail is not None:
            self._trail.begin(message)
        self._epoch = message.epoch
        return Output(
            self._gateway._sink, message.value, message.sequence, message.part,
            message.timestamp_us, self._tally.arrived(message.entered_ns),
        )

    def _is_stale(self, output):
        """Whether what was taken last is no longer wanted."""
        epochs = self._life.context.epochs
        return self._epoch < epochs.of_outputs(epochs.slots[output.node_id])

    def _arrived(self):
        """Hand over what has come; whether nothing is left for who waits.

        To wake him takes as long again.
        """
        if self._refused is not None or self._fault is not None or self._life.failure is not None:
            return False
        try:
            return self._handed_over()
        except BaseException as exc:  # the lane's or the reader's, who raises it
            self._fault = exc
            return False

    cdef bint _handed_over(self) except -1:
        for _ in range(AT_A_TIME):
            output = self._taken()
            if output is None:
                return not self._gateway.has_drained()
            if not self._at_once(output):
                self._refused = output
                return False
            if self._trail is not None:
                self._trail.end()
        return False
