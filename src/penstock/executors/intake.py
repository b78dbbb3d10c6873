"""Where a node's next input comes from: any of its lanes, each in its turn."""

from __future__ import annotations

from operator import attrgetter
from typing import Protocol

from penstock.bridges import ConsumerEnd, Epochs
from penstock.data import Message

_HAS_ENDED = attrgetter("ended")


class Intake(Protocol):
    """Takes a node's inputs out of its lanes; ``lanes`` may grow while it runs.

    ``injections`` bring inputs from outside the pipeline; the node comes to its end without them.
    """

    lanes: list[ConsumerEnd]
    injections: list[ConsumerEnd]

    def take(self) -> Message | None:
        """The next input, or None where there is none now."""

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""

    def lacking(self) -> list[str]:
        """The nodes that an input is missing of."""

    def is_stale(self, message: Message) -> bool:
        """Whether an interrupt has made stale what was taken last."""

    def renew(self) -> None:
        """Let go of inputs that it holds, and that an interrupt has made stale."""


class InTurn:
    """The ``Intake`` of most nodes: what has arrived, lanes in turn."""

    def __init__(self, epochs: Epochs) -> None:
        self.lanes: list[ConsumerEnd] = []
        self.injections: list[ConsumerEnd] = []
        self._epochs = epochs
        self._last = 0

    def take(self) -> Message | None:
        lanes = [*self.lanes, *self.injections] if self.injections else self.lanes
        if len(lanes) == 1:
            return lanes[0].take()
        for _ in lanes:
            self._last = (self._last + 1) % len(lanes)
            message = lanes[self._last].take()
            if message is not None:
                return message
        return None

    @property
    def ended(self) -> bool:
        return all(map(_HAS_ENDED, self.lanes))  # for each input: a generator takes longer

    def lacking(self) -> list[str]:
        return [lane.spec.source for lane in self.lanes if not lane.ended]

    def is_stale(self, message: Message) -> bool:
        return any(
            lane.spec.source == message.origin
            and message.epoch < self._epochs.of_outputs(lane.spec.slot)
            for lane in (*self.lanes, *self.injections)
        )

    def renew(self) -> None:
        """It holds none."""
