"""A lane: one connection of the manifest on its bridge, bounded, counted, with two ends.

The ends are protocols here; what lies between them (a queue, a socket and shared memory, a
sandbox's linear memory) belongs to the executors.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from penstock.bridges.states import LaneState
from penstock.data import Kind, Message

MAX_CAPACITY = 10_000
INTERRUPTED = "interrupted"
"""Why messages are dropped that are for a turn that is over."""


class Purpose(StrEnum):
    """What a lane is for.

    An ``EDGE`` is a connection of the plan, or the client's way to a source or from a sink. The
    others lie between the client and one node, and may come while a session runs: a ``TAP`` shows
    what the node gives, a ``QUESTION`` what it is not to give before somebody has decided, which a
    ``VERDICT`` says; ``INJECTION`` brings inputs that come from outside the pipeline.
    """

    EDGE = "edge"
    TAP = "tap"
    QUESTION = "question"
    VERDICT = "verdict"
    INJECTION = "injection"


class LaneSpec(msgspec.Struct, frozen=True):
    """What both ends of a lane know about it.

    ``capacity`` bounds the messages that wait on it, wherever they wait. With
    ``backpressure`` a full lane makes its producer wait and nothing is dropped; without, it
    keeps the newest or the oldest messages, as ``keep`` says, and counts the others (between
    processes each end keeps some, so that up to twice as many may wait).
    Within a process, ``max_buffered_bytes`` bounds what they hold, in ``held_bytes`` (0: nothing
    does); one message of any size always passes. Between processes, ``max_message_bytes`` bounds
    the ``payload_bytes`` of each. ``verify`` adds a checksum to every payload. ``slot`` is the
    place of the source in the page of epochs: what it gave in an older epoch is dropped when it
    would be taken, and counted as ``INTERRUPTED``. Lanes on which a message's epoch is the number
    that it has there, and nothing is stale, say so by their ``purpose``.
    """

    lane_id: int
    source: str
    target: str
    accepts: frozenset[Kind]
    capacity: int = 100
    backpressure: bool = True
    keep: str = "newest"
    max_message_bytes: int = 64 << 20
    verify: bool = False
    max_buffered_bytes: int = 0
    slot: int = 0
    purpose: Purpose = Purpose.EDGE

    @property
    def carries_turns(self) -> bool:
        """Whether an interrupt can make stale what is on it."""
        return self.purpose in (Purpose.EDGE, Purpose.INJECTION)

    @property
    def is_copied(self) -> bool:
        """Whether its consumer copies what it takes, and looks at nothing where it lies."""
        return self.purpose in (Purpose.TAP, Purpose.QUESTION)

    @property
    def name(self) -> str:
        """Its two ends, for people to read."""
        return f"{self.source.removeprefix('@')} → {self.target.removeprefix('@')}"


class ProducerStatistics(msgspec.Struct):
    """Counted at a lane's sending end; times in ns.

    ``sent`` are the messages that the lane took, of which ``dropped`` (by reason) never left;
    ``filtered`` (by kind) are those that the consumer doesn't accept, and no part of ``sent``.
    ``blocked_ns`` counts a block that lasts up to now.
    ``conversion`` counts the times that conversions took, in the buckets of a
    ``LatencyHistogram``; it is empty where none was measured.
    """

    state: LaneState = LaneState.IDLE
    sent: int = 0
    payload_bytes: int = 0
    conversion_ns: int = 0
    copies: int = 0
    blocked_ns: int = 0
    waiting: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    filtered: dict[str, int] = msgspec.field(default_factory=dict)
    conversion: list[int] = msgspec.field(default_factory=list)


class ConsumerStatistics(msgspec.Struct):
    """Counted at a lane's receiving end; times in ns. ``received`` were taken for use.

    ``held`` are payloads that somebody still looks at where they lie, and ``held_bytes`` what
    that keeps from being given up: the slabs that they lie in.
    ``conversion`` and ``transit`` (from being sent to being taken) are counted in the buckets
    of a ``LatencyHistogram``; they are empty where nothing was measured. ``transit_ns`` is their
    sum.
    """

    received: int = 0
    conversion_ns: int = 0
    transit_ns: int = 0
    copies: int = 0
    held: int = 0
    held_bytes: int = 0
    waiting: int = 0
    ended: bool = False
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    conversion: list[int] = msgspec.field(default_factory=list)
    transit: list[int] = msgspec.field(default_factory=list)


class ProducerEnd(Protocol):
    """Where a node puts messages into a lane."""

    spec: LaneSpec
    on_change: Callable[[], None]

    def offer(self, message: Message) -> bool:
        """Take the message, or say False where the producer has to wait for space."""

    @property
    def lent(self) -> int:
        """Messages whose payload the consumer may still look at where it lies."""

    def end(self) -> None:
        """Say that nothing more comes."""

    @property
    def finished(self) -> bool:
        """Whether the consumer has confirmed the end."""

    def statistics(self) -> ProducerStatistics: ...

    def close(self) -> None:
        """Give up whatever is still on its way."""


class ConsumerEnd(Protocol):
    """Where a node takes messages out of a lane."""

    spec: LaneSpec
    on_change: Callable[[], None]

    def take(self) -> Message | None:
        """The next message, or None where there is none now."""

    @property
    def ended(self) -> bool:
        """Whether the producer has ended and everything was taken."""

    def statistics(self) -> ConsumerStatistics: ...

    def close(self) -> None:
        """Take nothing more."""


def no_listener() -> None:
    """What ``on_change`` is until somebody listens."""


def count_drop(dropped: dict[str, int], reason: str) -> None:
    dropped[reason] = dropped.get(reason, 0) + 1


def count_filtered(filtered: dict[str, int], kind: Kind) -> None:
    filtered[kind] = filtered.get(kind, 0) + 1
