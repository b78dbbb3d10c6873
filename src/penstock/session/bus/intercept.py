"""Outputs of a node that somebody decides about before they go on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from penstock.bridges import ConsumerEnd, ProducerEnd
from penstock.data import Json, Kind, Message, Value, own, payload_bytes
from penstock.errors import InvalidValueError
from penstock.executors.pump import LoopPump
from penstock.executors.side_lanes import Verdict

DEADLINE_S = 0.05
"""How long a verdict may take, where nobody says."""
_NOTHING = Json(None)


class InterceptRequest:
    """An output of ``node_id`` that waits for ``let_pass``, ``replace`` or ``drop``.

    The first of them counts, within the deadline; each says whether it did. ``number`` is
    unique in the session.
    """

    def __init__(self, intercept: Intercept, message: Message, number: int) -> None:
        self.node_id = intercept.node_id
        self.number = number
        self.message = message
        self.value = message.value
        self.sequence = message.sequence
        self.part = message.part
        self.timestamp_us = message.timestamp_us
        self._intercept = intercept

    def let_pass(self) -> bool:
        """The output goes on as it is."""
        return self._intercept.decide(self, Verdict.PASS)

    def replace(self, value: Value) -> bool:
        """Another value goes on in its place, with its numbers and its time.

        Raises ``InvalidValueError`` for one that the node could not have given.
        """
        return self._intercept.decide(self, Verdict.REPLACE, value)

    def drop(self) -> bool:
        """Nothing goes on."""
        return self._intercept.decide(self, Verdict.DROP)


class VerdictLane:
    """Takes verdicts to a node, in order, for every intercept of it."""

    def __init__(self, end: ProducerEnd) -> None:
        self._end = end
        self._waiting: deque[Message] = deque()
        end.on_change = self._send

    def give(self, asked: int, verdict: Verdict, value: Value = _NOTHING) -> None:
        """Say what becomes of the output that was asked about by that number."""
        self._waiting.append(Message(value, 0, verdict, 0, asked))
        self._send()

    def _send(self) -> None:
        while self._waiting and self._end.offer(self._waiting[0]):
            self._waiting.popleft()


@dataclass(frozen=True, slots=True)
class Intercepted:
    """The node that is intercepted, what it may give, and in how many ``payload_bytes``."""

    node_id: str
    emits: frozenset[Kind]
    largest: int

    def check(self, value: Value) -> None:
        """Raises ``InvalidValueError`` for what it may not."""
        if value.kind not in self.emits:
            known = ", ".join(sorted(self.emits))
            raise InvalidValueError(f"node {self.node_id!r} gives {known}, got {value.kind}")
        size = payload_bytes(value)
        if size > self.largest:
            raise InvalidValueError(f"expected a value of at most {self.largest} bytes, got {size}")


class Intercept:
    """A node's outputs, one at a time, for one reader: iterate over it.

    Each waits for its verdict until ``deadline_s`` has passed, and then passes. So does what waits
    when the intercept is closed.
    """

    def __init__(
        self,
        node: Intercepted,
        deadline_s: float,
        verdicts: VerdictLane,
        next_number: Callable[[], int],
        let_go: Callable[[Intercept], None],
    ) -> None:
        self.deadline_s = deadline_s
        self._node = node
        self._verdicts = verdicts
        self._next_number = next_number
        self._let_go = let_go
        self._loop = asyncio.get_running_loop()
        self._lane: ConsumerEnd | None = None
        self._pending: InterceptRequest | None = None
        self._unread = False
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self._pump = LoopPump()

    @property
    def node_id(self) -> str:
        return self._node.node_id

    def close(self) -> None:
        """Decide nothing more; doing it twice is harmless."""
        self.end()
        self._let_go(self)

    def pending(self, number: int) -> InterceptRequest | None:
        """The request of that number, where it still waits."""
        found = self._pending
        return found if found is not None and found.number == number else None

    def decide(
        self, request: InterceptRequest, verdict: Verdict, value: Value | None = None
    ) -> bool:
        """Send a verdict to the node; False where it comes too late."""
        if request is not self._pending:
            return False
        if value is None:
            self._verdicts.give(request.message.epoch, verdict)
        else:
            self._node.check(value)
            self._verdicts.give(request.message.epoch, verdict, value)
        self._void()
        return True

    def listen(self, lane: ConsumerEnd) -> None:
        """Hear what the node asks."""
        self._lane = lane
        lane.on_change = self._drain
        self._drain()

    def silenced(self) -> ConsumerEnd | None:
        """The lane that it listened to, and does no more."""
        lane, self._lane = self._lane, None
        return lane

    def take_over(self, former: Intercept) -> None:
        """Go on where another one was, with what waits for its verdict."""
        pending, lane = former._pending, former.silenced()
        former.end()
        if pending is not None:
            self._ask(pending.message)
        if lane is not None:
            self.listen(lane)

    def end(self) -> None:
        """Nothing more is asked."""
        self._over = True
        self._void()
        self._pump.notify()

    def __aiter__(self) -> Intercept:
        return self

    async def __anext__(self) -> InterceptRequest:
        if not await self.ready():
            raise StopAsyncIteration
        return self.take()

    @property
    def waiting(self) -> int:
        """The requests that can be taken now: one, or none."""
        return int(self._unread and self._pending is not None)

    async def ready(self) -> bool:
        """Wait until there is something to ``take``; False where there will be nothing more."""
        while not self.waiting:
            if self._over:
                return False
            await self._pump.idle()
        return True

    def take(self) -> InterceptRequest:
        """What is ``waiting``."""
        assert self._pending is not None  # noqa: S101  # else nothing waits
        self._unread = False
        return self._pending

    def _drain(self) -> None:
        """Take what is asked; whatever was asked before is void, as it is after an interrupt."""
        lane = self._lane
        while lane is not None and not self._over and (message := lane.take()) is not None:
            self._ask(message.replace(value=own(message.value)))
        if lane is not None and lane.ended:
            self.end()

    def _ask(self, message: Message) -> None:
        self._void()
        self._pending = InterceptRequest(self, message, self._next_number())
        self._unread = True
        self._timer = self._loop.call_later(self.deadline_s, self._pending.let_pass)
        self._pump.notify()

    def _void(self) -> None:
        """Nothing waits for a verdict any more."""
        self._pending = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
