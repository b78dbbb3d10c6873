"""A lane inside one process: a bounded queue of references."""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns

from penstock.bridges.lane import (
    ConsumerStatistics,
    LaneSpec,
    ProducerStatistics,
    count_drop,
    no_listener,
)
from penstock.bridges.states import LaneEvent, LaneState, close_lane, lane_machine
from penstock.data import Message, payload_bytes


class DirectLane:
    """Both ends of a ``Direct`` lane, for one event loop.

    Message references pass; nothing is converted or copied. ``producer`` and ``consumer``
    are its two ends.
    """

    def __init__(self, spec: LaneSpec) -> None:
        self.spec = spec
        self.queue: deque[Message] = deque()
        self.machine = lane_machine(spec.name)
        self.ending = False
        self.producer = DirectProducer(self)
        self.consumer = DirectConsumer(self)


class DirectProducer:
    """The sending end of a ``DirectLane``."""

    def __init__(self, lane: DirectLane) -> None:
        self.spec = lane.spec
        self.on_change = no_listener
        self._lane = lane
        self._stats = ProducerStatistics()
        self._blocked_since = 0

    def offer(self, message: Message) -> bool:
        lane, spec = self._lane, self.spec
        if message.value.kind not in spec.accepts:
            self._stats.filtered += 1
            return True
        if lane.machine.state is LaneState.BLOCKED:
            return False
        lane.machine.step(LaneEvent.DATA_AVAILABLE)
        if len(lane.queue) >= spec.capacity and not self._make_room():
            return False
        self._put(message)
        return True

    def _make_room(self) -> bool:
        """A full lane blocks, or drops the oldest where it keeps the newest."""
        lane = self._lane
        if self.spec.backpressure:
            lane.machine.step(LaneEvent.NO_SPACE)
            self._blocked_since = perf_counter_ns()
            return False
        if self.spec.keep == "newest":
            lane.queue.popleft()
        count_drop(self._stats.dropped, "full")
        return True

    def _put(self, message: Message) -> None:
        lane, stats = self._lane, self._stats
        stats.sent += 1
        stats.payload_bytes += payload_bytes(message.value)
        if len(lane.queue) < self.spec.capacity:
            lane.queue.append(message)
        lane.machine.step(LaneEvent.TRANSFERRED)
        lane.consumer.on_change()

    def space_available(self) -> None:
        """The consumer took one."""
        if self._lane.machine.state is LaneState.BLOCKED:
            self._stats.blocked_ns += perf_counter_ns() - self._blocked_since
            self._lane.machine.step(LaneEvent.SPACE_AVAILABLE)
            self._lane.machine.step(LaneEvent.TRANSFERRED)
            self.on_change()

    def end(self) -> None:
        self._lane.ending = True
        self._lane.consumer.on_change()

    @property
    def finished(self) -> bool:
        return self._lane.consumer.ended

    def statistics(self) -> ProducerStatistics:
        self._stats.state = self._lane.machine.state
        self._stats.waiting = len(self._lane.queue)
        return self._stats

    def close(self) -> None:
        close_lane(self._lane.machine)
        self._lane.queue.clear()


class DirectConsumer:
    """The receiving end of a ``DirectLane``."""

    def __init__(self, lane: DirectLane) -> None:
        self.spec = lane.spec
        self.on_change = no_listener
        self._lane = lane
        self._stats = ConsumerStatistics()

    def take(self) -> Message | None:
        lane = self._lane
        if not lane.queue:
            return None
        message = lane.queue.popleft()
        self._stats.received += 1
        lane.producer.space_available()
        if lane.ending and not lane.queue:
            lane.producer.on_change()
        return message

    @property
    def ended(self) -> bool:
        return self._lane.ending and not self._lane.queue

    def statistics(self) -> ConsumerStatistics:
        self._stats.ended = self.ended
        return self._stats

    def close(self) -> None:
        self._lane.producer.close()
