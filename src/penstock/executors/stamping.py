"""Numbers what a node gives."""

from __future__ import annotations

from penstock.data import Message, Value
from penstock.executors.turn import Turn

_REMEMBERED = 1024
"""Half as many inputs one way into a fan-in may be ahead of another: five lanes as they are."""


class Stamper:
    """Numbers a node's outputs: the sequence of the last input, and a part within it.

    The parts of a sequence are counted on when another input comes in between, as it may
    behind a fan-in, for as long as that is one of the last thousand. The epoch is that of the
    node's ``turn`` at that moment.
    """

    __slots__ = (
        "_entered_ns",
        "_node_id",
        "_older",
        "_part",
        "_recent",
        "_sequence",
        "_timestamp_us",
        "_turn",
    )

    def __init__(self, node_id: str, turn: Turn) -> None:
        self._node_id = node_id
        self._turn = turn
        self._sequence = self._timestamp_us = self._entered_ns = self._part = 0
        self._recent: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def follow(self, message: Message) -> None:
        """What comes next is made of this input."""
        if message.sequence != self._sequence:
            self._turn_to(message.sequence)
        self._timestamp_us = message.timestamp_us
        self._entered_ns = message.entered_ns

    def advance(self) -> None:
        """What comes next is made of nothing: a producer's own numbering."""
        self._turn_to(self._sequence + 1)

    def stamp(self, value: Value) -> Message:
        part = self._part
        self._part = part + 1
        epoch = self._turn.epoch
        return Message(
            value, self._sequence, part, self._timestamp_us, epoch, self._node_id, self._entered_ns
        )

    def skip_to(self, part: int) -> int:
        """Go on with this part at least, where it was too long ago to be known; the part."""
        self._part = max(self._part, part)
        return self._part

    def _turn_to(self, sequence: int) -> None:
        recent = self._recent
        recent[self._sequence] = self._part
        if len(recent) >= _REMEMBERED:
            self._older, self._recent = recent, {}
        self._sequence = sequence
        self._part = recent[sequence] if sequence in recent else self._older.get(sequence, 0)
