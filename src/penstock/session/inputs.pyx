"""What may be sent into a session, and how it gets there where nothing has to wait. Compiled."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from penstock.data.message cimport Message, new_message
from penstock.executors.multiprocess.transport.clock cimport now_ns
from penstock.session.crossing cimport Crossing, Crossings, Tally

from penstock.bridges import CLIENT_SLOT
from penstock.bridges.epochs import outputs_at
from penstock.data import CLIENT, VALUE_TYPES
from penstock.errors import InputError, InvalidValueError
from penstock.executors.calling import VALUE_NAMES

cdef frozenset _VALUE_TYPES = VALUE_TYPES
cdef object _CLIENT = CLIENT
cdef Py_ssize_t _INPUTS_AT = outputs_at(CLIENT_SLOT)
cdef object _MAX_SEQUENCE = (1 << 64) - 1
cdef object _MAX_TIMESTAMP_US = 1 << 63


@cython.final
cdef class Inward:
    """A client's way into a session that runs; ``sequence`` is the number of its last input."""

    cdef readonly object sequence
    cdef object _life
    cdef Crossings _gateway
    cdef Tally _tally
    cdef object _trail
    cdef object _epochs
    cdef const uint64_t[::1] _words
    cdef bint _has_begun

    def __init__(self, life, Tally counters not None, trail):
        self.sequence = 0
        self._life = life
        self._gateway = life.gateway
        self._tally = counters
        self._trail = trail

    def offer(self, node_id, value, sequence, timestamp_us, entered_ns):
        """Send a value to a source; its number, or None where it would have to wait."""
        cdef Message message = self._stamped(value, sequence, timestamp_us, entered_ns)
        cdef Crossing inlet = self._inlet(node_id, message)
        if inlet._putting or not inlet.offer(message):
            return None
        self.sequence = message.sequence
        self.count(message)
        return self.sequence

    def prepare(self, node_id, value, sequence, timestamp_us, entered_ns):
        """The message, and the inlet that it is to be put in, for who will wait; has a number."""
        cdef Message message = self._stamped(value, sequence, timestamp_us, entered_ns)
        inlet = self._inlet(node_id, message)
        self.sequence = message.sequence
        return inlet, message

    cpdef int count(self, Message message) except -1:
        """It has been sent."""
        if self._trail is not None:
            self._trail.note(message, message.entered_ns)
        return self._tally.count_input(message.value.kind)

    def between(self, value, timestamp_us):
        """A value that comes in between, with the number of the last input; it is none itself."""
        return _message(value, self.sequence, timestamp_us, self._epoch(), 0)

    cdef Message _stamped(self, value, sequence, timestamp_us, entered_ns):
        number = self.sequence + 1 if sequence is None else sequence
        entered = now_ns() if entered_ns is None else <int64_t>entered_ns
        return _message(value, number, timestamp_us, self._epoch(), entered)

    cdef Crossing _inlet(self, node_id, Message message):
        cdef Crossing inlet
        if node_id not in self._gateway.inlets:
            self._life.bus.node(node_id)  # raises where there is no such node at all
        inlet = self._gateway.into(node_id, message)
        if not self._has_begun:
            self._life.begin()
            self._has_begun = self._life.has_begun
        return inlet

    cdef uint64_t _epoch(self) except? 0:
        """That of what the client sends now."""
        epochs = self._life.context.epochs
        if epochs is not self._epochs:
            self._epochs, self._words = epochs, epochs.words
        return self._words[_INPUTS_AT]


cdef Message _message(value, sequence, timestamp_us, uint64_t epoch, int64_t entered_ns):
    """An input on its way; raises ``InputError`` where it can't be one.

    ``entered_ns`` is 0 for a value that somebody publishes in between.
    """
    if type(value) not in _VALUE_TYPES:
        raise InvalidValueError(f"expected one of {VALUE_NAMES}, got {type(value).__name__}")
    if not (isinstance(sequence, int) and 0 <= sequence <= _MAX_SEQUENCE):
        raise InputError(f"sequence must be 0 to 2⁶⁴ - 1, got {sequence}")
    if not (isinstance(timestamp_us, int) and abs(timestamp_us) < _MAX_TIMESTAMP_US):
        raise InputError(f"timestamp_us must be whole and below 2⁶³, got {timestamp_us}")
    return new_message(value, sequence, 0, timestamp_us, epoch, _CLIENT, entered_ns)
