"""Matches the inputs of a join: one of each lane that belong together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.bridges import ConsumerEnd, Epochs
from penstock.data import Message
from penstock.executors.emitter import Counters
from penstock.nodes.join import JoinParams

_Place = tuple[int, ...]


class Matching:
    """The ``Intake`` of a ``Join``. An input's value is a dict: the argument, and its value.

    It holds the first message of each lane at most; what comes behind waits on the lane. Of
    messages that don't belong together the latest stays, and the others go: they come too
    late for it, and nothing earlier will follow it. Nothing is injected here: what would it match?
    """

    def __init__(self, params: JoinParams, stats: Counters, epochs: Epochs) -> None:
        self.lanes: list[ConsumerEnd] = []
        self.injections: list[ConsumerEnd] = []
        self._argument = params.argument
        self._tolerance_us = params.tolerance_us
        self._place = _number if params.tolerance_us is None else _capture_time
        self._stats = stats
        self._epochs = epochs
        self._heads: dict[str, Message] = {}
        self._given: list[tuple[int, int]] = []

    def take(self) -> Message | None:
        self.renew()
        while self._fill():
            latest = max(self._heads.values(), key=self._place)
            late = [name for name, head in self._heads.items() if self._is_late(head, latest)]
            if not late:
                return self._joined(latest)
            self._drop(late)
        if any(self._is_over(lane) for lane in self.lanes):
            self._drop_everything()
        return None

    @property
    def ended(self) -> bool:
        return not self._heads and all(lane.ended for lane in self.lanes)

    def lacking(self) -> list[str]:
        """The nodes of which nothing is there."""
        return [ln.spec.source for ln in self.lanes if ln.spec.source not in self._heads]

    def is_stale(self, message: Message) -> bool:
        return any(epoch < self._epochs.of_outputs(slot) for slot, epoch in self._given)

    def renew(self) -> None:
        for lane in self.lanes:
            head = self._heads.get(lane.spec.source)
            if head is not None and head.epoch < self._epochs.of_outputs(lane.spec.slot):
                self._drop([lane.spec.source])

    def _fill(self) -> bool:
        """Take the first message of each lane; whether each has one."""
        for lane in self.lanes:
            source = lane.spec.source
            if source not in self._heads:
                head = lane.take()
                if head is not None:
                    self._heads[source] = head
        return len(self._heads) == len(self.lanes)

    def _is_late(self, head: Message, latest: Message) -> bool:
        if self._tolerance_us is None:
            return _number(head) < _number(latest)
        return latest.timestamp_us - head.timestamp_us > self._tolerance_us

    def _is_over(self, lane: ConsumerEnd) -> bool:
        return lane.ended and lane.spec.source not in self._heads

    def _joined(self, latest: Message) -> Message:
        """The message of them all, in the order of the lanes; the last one has completed it."""
        heads, self._heads = self._heads, {}
        sources = [lane.spec.source for lane in self.lanes]
        self._given = [(lane.spec.slot, heads[lane.spec.source].epoch) for lane in self.lanes]
        items: Any = {self._argument(source): heads[source].value for source in sources}
        entered_ns = max(head.entered_ns for head in heads.values())
        return latest.replace(value=items, entered_ns=entered_ns)

    def _drop(self, sources: list[str]) -> None:
        for source in sources:
            del self._heads[source]
        self._stats.unmatched += len(sources)

    def _drop_everything(self) -> None:
        """A lane has ended, so that nothing on the others can be matched."""
        self._drop(list(self._heads))
        for lane in self.lanes:
            while lane.take() is not None:
                self._stats.unmatched += 1


def _number(message: Message) -> _Place:
    return (message.sequence, message.part)


def _capture_time(message: Message) -> _Place:
    return (message.timestamp_us,)


def by_name(process: Callable[..., Any]) -> Callable[[Any], Any]:
    """``process`` as a function of the dict that ``Matching`` gives."""

    def call(items: Any) -> Any:
        return process(**items)

    return call
