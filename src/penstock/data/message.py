"""A value on its way: what travels along an edge, in a process or between two."""

from __future__ import annotations

import msgspec

from penstock.data.values import Value

CLIENT = "@client"
"""Stands for the session's client where a node's ID would stand."""


class Message(msgspec.Struct, frozen=True):
    """One value with its place in the stream.

    ``sequence`` is the number of the client's input that it comes from, ``part`` counts the
    outputs that one node made of it. ``timestamp_us`` is the capture time on the client's
    clock in µs, ``epoch`` the interrupt epoch it belongs to, and ``origin`` the node that
    made it (``CLIENT`` for an input). ``entered_ns`` is when that input was sent, the last one of
    several, in ``time.perf_counter_ns``, which is one clock for all processes; 0 where it comes of
    none: numbers alone don't tell, as each source, and each node that produces, has its own.
    """

    value: Value
    sequence: int = 0
    part: int = 0
    timestamp_us: int = 0
    epoch: int = 0
    origin: str = CLIENT
    entered_ns: int = 0
