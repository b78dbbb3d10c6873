"""A lane inside one process: a queue of references, bounded in messages and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import TypeAlias

from penstock.bridges.epochs import NO_EPOCHS, Epochs, outputs_at
from penstock.bridges.lane import (
    INTERRUPTED,
    ConsumerStatistics,
    LaneSpec,
    ProducerStatistics,
    count_drop,
    count_filtered,
    no_listener,
)
from penstock.bridges.states import LaneEvent, LaneState, close_lane, lane_machine
from penstock.data import Message, freeze, held_bytes, payload_bytes

Accept: TypeAlias = Callable[[Message], bool]
"""Works on a message at once; False where it can't just now."""


class DirectLane:
    """Both ends of a ``Direct`` lane, for one event loop.

    Message references pass; nothing is converted or copied. ``producer`` and ``consumer``
    are its two ends. A lane that is fused has its consumer work on a message while it is
    being offered, as a direct call. What the consumer can't accept, and what comes behind
    that, waits in the queue as on any lane: the order, the bound and the counters are the same.
    """

    def __init__(self, spec: LaneSpec, epochs: Epochs = NO_EPOCHS) -> None:
        self.spec = spec
        self.epochs = epochs if spec.carries_turns else NO_EPOCHS
        self.accept: Accept | None = None
        self.queue: deque[Message] = deque()
        self._sizes: deque[int] = deque()
        self._held = 0
        self.machine = lane_machine(spec.name)
        self.ending = False
        self.producer = DirectProducer(self)
        self.consumer = DirectConsumer(self)

    @property
    def fused(self) -> bool:
        """Whether messages pass as direct calls."""
        return self.accept is not None

    def fuse(self, accept: Accept) -> None:
        """Let messages pass by calling ``accept``."""
        self.accept = accept

    def has_room(self, nbytes: int) -> bool:
        """Whether a message of that size may wait; one always may."""
        queue, spec = self.queue, self.spec
        if len(queue) >= spec.capacity:
            return False
        most = spec.max_buffered_bytes
        return not most or not queue or self._held + nbytes <= most

    def append(self, message: Message, nbytes: int) -> None:
        """Have a message wait behind the others."""
        self.queue.append(message)
        self._sizes.append(nbytes)
        self._held += nbytes

    def popleft(self) -> Message:
        """The message that has waited longest."""
        self._held -= self._sizes.popleft()
        return self.queue.popleft()

    def clear(self) -> None:
        """Give up what waits."""
        self.queue.clear()
        self._sizes.clear()
        self._held = 0

    def unfuse(self) -> None:
        """Have messages wait in the queue from now on, so that something may come between."""
        self.accept = None


class DirectProducer:
    """The sending end of a ``DirectLane``."""

    def __init__(self, lane: DirectLane) -> None:
        self.spec = lane.spec
        self.on_change = no_listener
        self._lane = lane
        self._stats = ProducerStatistics()
        self._blocked_since = 0

    def offer(self, message: Message) -> bool:
        """A message that is taken passes through states that nobody can see.

        Its reference passes: from now on nobody writes to its array, the producer neither.
        """
        lane, spec = self._lane, self.spec
        if message.value.kind not in spec.accepts:
            count_filtered(self._stats.filtered, message.value.kind)
            return True
        freeze(message.value)
        if not lane.queue and lane.accept is not None and lane.accept(message):
            self._count(message)
            lane.consumer.count()
            return True
        if lane.machine.state is LaneState.BLOCKED:
            return False
        nbytes = held_bytes(message.value)
        if lane.has_room(nbytes):
            lane.append(message, nbytes)
        elif spec.backpressure:
            self._block()
            return False
        else:
            self._drop(message, nbytes)
        self._count(message)
        lane.consumer.on_change()
        return True

    def _count(self, message: Message) -> None:
        self._stats.sent += 1
        self._stats.payload_bytes += payload_bytes(message.value)

    def _block(self) -> None:
        self._lane.machine.step(LaneEvent.DATA_AVAILABLE)
        self._lane.machine.step(LaneEvent.NO_SPACE)
        self._blocked_since = perf_counter_ns()

    def _drop(self, message: Message, nbytes: int) -> None:
        """The oldest make room for the message, or the message goes itself."""
        lane = self._lane
        if self.spec.keep != "newest":
            count_drop(self._stats.dropped, "full")
            return
        while not lane.has_room(nbytes):
            lane.popleft()
            count_drop(self._stats.dropped, "full")
        lane.append(message, nbytes)

    def space_available(self) -> None:
        """The consumer took one."""
        if self._lane.machine.state is LaneState.BLOCKED:
            self._count_blocked()
            self._lane.machine.step(LaneEvent.SPACE_AVAILABLE)
            self._lane.machine.step(LaneEvent.TRANSFERRED)
            self.on_change()

    @property
    def lent(self) -> int:
        """Nothing is: who has taken a reference holds it himself."""
        return 0

    def end(self) -> None:
        self._lane.ending = True
        self._lane.consumer.on_change()

    @property
    def finished(self) -> bool:
        return self._lane.consumer.ended

    def statistics(self) -> ProducerStatistics:
        self._count_blocked()
        self._stats.state = self._lane.machine.state
        self._stats.waiting = len(self._lane.queue)
        return self._stats

    def close(self) -> None:
        self._count_blocked()
        close_lane(self._lane.machine)
        self._lane.clear()

    def _count_blocked(self) -> None:
        """A block that lasts counts up to now."""
        if self._lane.machine.state is LaneState.BLOCKED:
            now = perf_counter_ns()
            self._stats.blocked_ns += now - self._blocked_since
            self._blocked_since = now


class DirectConsumer:
    """The receiving end of a ``DirectLane``."""

    def __init__(self, lane: DirectLane) -> None:
        self.spec = lane.spec
        self.on_change = no_listener
        self._lane = lane
        self._epochs = lane.epochs.words
        self._epoch_at = outputs_at(lane.spec.slot)
        self._stats = ConsumerStatistics()

    def take(self) -> Message | None:
        lane = self._lane
        while lane.queue:
            message = lane.popleft()
            wanted = message.epoch >= self._epochs[self._epoch_at]
            if wanted:
                self._stats.received += 1
            else:
                count_drop(self._stats.dropped, INTERRUPTED)
            lane.producer.space_available()
            if lane.ending and not lane.queue:
                lane.producer.on_change()
            if wanted:
                return message
        return None

    def count(self) -> None:
        """A message was accepted without waiting in the queue."""
        self._stats.received += 1

    @property
    def ended(self) -> bool:
        return self._lane.ending and not self._lane.queue

    def statistics(self) -> ConsumerStatistics:
        self._stats.ended = self.ended
        return self._stats

    def close(self) -> None:
        self._lane.producer.close()
