"""Where a node's time went, input by input; kept only where somebody traces. Pure."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

import msgspec

from penstock.data import Message

BATCH = 256
"""Spans that are told at once; fewer where somebody measures, or the node has ended."""


class NodeSpan(msgspec.Struct, frozen=True, array_like=True):
    """A node's work on the input that ``origin`` gave as ``sequence`` and ``part``.

    Times are of ``perf_counter_ns``, which is one clock for all processes.
    """

    sequence: int
    part: int
    origin: str
    started_ns: int
    ended_ns: int


class Trail:
    """The spans of one node that have not been told yet; ``tell`` gets them, the oldest first."""

    __slots__ = ("_message", "_spans", "_started_ns", "_tell")

    def __init__(self, tell: Callable[[list[NodeSpan]], None]) -> None:
        self._tell = tell
        self._spans: list[NodeSpan] = []
        self._message: Message | None = None
        self._started_ns = 0

    def begin(self, message: Message) -> None:
        """Work on an input begins."""
        self._message = message
        self._started_ns = perf_counter_ns()

    def end(self) -> None:
        """It has ended; what is made of no input leaves no span."""
        message, self._message = self._message, None
        if message is not None:
            self.note(message, self._started_ns)

    def note(self, message: Message, started_ns: int) -> None:
        """Work on an input, which began then, ends now."""
        self._spans.append(
            NodeSpan(message.sequence, message.part, message.origin, started_ns, perf_counter_ns())
        )
        if len(self._spans) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Tell what there is."""
        if self._spans:
            spans, self._spans = self._spans, []
            self._tell(spans)
