"""A node's outputs on their way into its lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from penstock.bridges import ProducerEnd
from penstock.data import Kind, Message, Value
from penstock.errors import LaneError
from penstock.executors.calling import NodeFault
from penstock.executors.stamping import Stamper
from penstock.executors.statistics import NodeStatistics


class Identity(NamedTuple):
    """Which node it is, and what it has declared to give."""

    node_id: str
    emits: frozenset[Kind]


class Emitter:
    """Stamps and counts outputs, and offers them to each lane as it has space.

    ``waiting`` are the lanes that had no space for the last output; the next may be given
    when there are none.
    """

    def __init__(self, identity: Identity, stats: NodeStatistics) -> None:
        self.lanes: list[ProducerEnd] = []
        self.waiting: list[ProducerEnd] = []
        self.stamper = Stamper(identity.node_id)
        self._emits = identity.emits
        self._stats = stats
        self._message: Message | None = None

    def give(self, value: Value, during: str) -> None:
        """Offer an output of the method ``during``.

        Raises ``NodeFault`` for one that isn't declared or that a lane can't carry, and
        ``LaneError`` where a lane fails.
        """
        if value.kind not in self._emits:
            raise NodeFault(during) from TypeError(
                f"gave {value.kind}, but declares {', '.join(sorted(self._emits)) or 'nothing'}"
            )
        self._stats.outputs += 1
        self._offer(self.lanes, self.stamper.stamp(value), during)

    def give_again(self, during: str) -> None:
        """Offer the last output to the lanes that had no space for it."""
        lanes, self.waiting = self.waiting, []
        message, self._message = self._message, None
        if message is not None:
            self._offer(lanes, message, during)

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
