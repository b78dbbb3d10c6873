"""A node's outputs on their way into its lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from penstock.bridges import CLIENT_SLOT, NO_EPOCHS, Epochs, ProducerEnd
from penstock.data import Kind, Message, Value
from penstock.errors import LaneError
from penstock.executors.calling import NodeFault
from penstock.executors.side_lanes import SideLanes, Verdict
from penstock.executors.stamping import Stamper
from penstock.executors.statistics import NodeStatistics
from penstock.executors.turn import Turn


class Identity(NamedTuple):
    """Which node it is, what it has declared to give, and its ``slot`` in the page of epochs."""

    node_id: str
    emits: frozenset[Kind]
    epochs: Epochs = NO_EPOCHS
    slot: int = CLIENT_SLOT


class Emitter:
    """Stamps and counts outputs, and offers them to each lane as it has space.

    ``waiting`` are the lanes that had no space for the last output, or must wait for an interrupt
    that comes first, or, while it is ``parked``, for a verdict; the next may be given when there
    are none. What is for a ``turn`` that is over is dropped, and so is all that a ``muted`` node
    gives. Who watches by the ``side`` lanes sees an output before anybody changes it.
    """

    def __init__(self, identity: Identity, stats: NodeStatistics, turn: Turn) -> None:
        self.lanes: list[ProducerEnd] = []
        self.waiting: list[ProducerEnd] = []
        self.side = SideLanes()
        self.parked = False
        self.muted = False
        self.stamper = Stamper(identity.node_id, turn)
        self.turn = turn
        self.emits = identity.emits
        self._stats = stats
        self._value: Value | None = None
        self._message: Message | None = None

    def give(self, value: Value, during: str) -> None:
        """Offer an output of the method ``during``.

        Raises ``NodeFault`` for one that isn't declared or that a lane can't carry, and
        ``LaneError`` where a lane fails.
        """
        if value.kind not in self.emits:
            raise NodeFault(during) from TypeError(
                f"gave {value.kind}, but declares {', '.join(sorted(self.emits)) or 'nothing'}"
            )
        if self.muted:
            self._stats.skipped += 1
        elif self.turn.is_asking:
            self._value, self.waiting = value, list(self.lanes)
        elif self.turn.is_over:
            self._stats.interrupted += 1
        else:
            self._stats.outputs += 1
            message = self.stamper.stamp(value)
            if self.side.idle:
                self._offer(self.lanes, message, during)
            else:
                self._show(message, during)

    def give_again(self, during: str) -> None:
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
            self._stats.interrupted += 1
        elif self.parked:
            self._decide(message, lanes, during)
        else:
            self._offer(lanes, message, during)

    def _show(self, message: Message, during: str) -> None:
        """Let others see the output before it leaves, and wait for who decides about it."""
        self.side.show(message)
        if self.side.intercepted:
            self.side.ask()
            self.parked = True
            self._decide(message, list(self.lanes), during)
        else:
            self._offer(self.lanes, message, during)

    def _decide(self, message: Message, lanes: list[ProducerEnd], during: str) -> None:
        verdict = self.side.verdict(message)
        if verdict is None:
            self.waiting, self._message = lanes, message
            return
        self.parked = False
        decided, message = verdict
        if decided is Verdict.DROP:
            self._stats.withheld += 1
        else:
            self._offer(lanes, message, during)

    def _give_what_was_held(self, during: str) -> None:
        """The output that came after an interrupt was asked for, once that has come about."""
        if not self.turn.is_asking and self._value is not None:
            value, self._value, self.waiting = self._value, None, []
            self.give(value, during)

    def _offer(self, lanes: Sequence[ProducerEnd], message: Message, during: str) -> None:
        try:
            for lane in lanes:
                if not lane.offer(message):
                    self.waiting.append(lane)
                    self._message = message
        except LaneError:
            raise
        except Exception as exc:
            raise NodeFault(during) from exc
