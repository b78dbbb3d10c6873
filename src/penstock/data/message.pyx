"""A value on its way: what travels along an edge, in a process or between two.

Compiled, since each is looked into several times wherever it comes by.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t

CLIENT = "@client"
"""Stands for the session's client where a node's ID would stand."""


@cython.final
@cython.freelist(64)
@cython.auto_pickle(False)
cdef class Message:
    """One value with its place in the stream.

    ``sequence`` is the number of the client's input that it comes from, ``part`` counts the
    outputs that one node made of it. ``timestamp_us`` is the capture time on the client's
    clock in µs, ``epoch`` the interrupt epoch it belongs to, and ``origin`` the node that
    made it (``CLIENT`` for an input). ``entered_ns`` is when that input was sent, the last one of
    several, in ``time.perf_counter_ns``, which is one clock for all processes; 0 where it comes of
    none: numbers alone don't tell, as each source, and each node that produces, has its own.

    Raises ``OverflowError`` for a number that is none of 64 bits.
    """

    def __init__(
        self,
        value,
        uint64_t sequence=0,
        uint64_t part=0,
        int64_t timestamp_us=0,
        uint64_t epoch=0,
        origin=CLIENT,
        int64_t entered_ns=0,
    ):
        self.value = value
        self.sequence = sequence
        self.part = part
        self.timestamp_us = timestamp_us
        self.epoch = epoch
        self.origin = origin
        self.entered_ns = entered_ns

    def replace(self, **changes):
        """The message with some of its fields changed; raises ``TypeError`` for one that is none."""
        return Message(**{**self._fields(), **changes})

    def _fields(self):
        return {
            "value": self.value,
            "sequence": self.sequence,
            "part": self.part,
            "timestamp_us": self.timestamp_us,
            "epoch": self.epoch,
            "origin": self.origin,
            "entered_ns": self.entered_ns,
        }

    def __eq__(self, other):
        if not isinstance(other, Message):
            return NotImplemented
        return self._fields() == (<Message>other)._fields()

    def __repr__(self):
        fields = ", ".join(f"{name}={field!r}" for name, field in self._fields().items())
        return f"Message({fields})"


cdef Message new_message(
    object value, uint64_t sequence, uint64_t part, int64_t timestamp_us, uint64_t epoch,
    object origin, int64_t entered_ns,
):
    cdef Message message = Message.__new__(Message)
    message.value = value
    message.sequence = sequence
    message.part = part
    message.timestamp_us = timestamp_us
    message.epoch = epoch
    message.origin = origin
    message.entered_ns = entered_ns
    return message
