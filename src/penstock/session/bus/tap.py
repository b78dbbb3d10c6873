"""What a node gives, shown to whoever wants to see it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from penstock.bridges import ConsumerEnd
from penstock.data import Message, Value, held_bytes, own
from penstock.executors.pump import LoopPump
from penstock.executors.side_lanes import NUMBERS

TAP_MESSAGES = 256
"""Events that wait for a tap's reader, at most; the oldest of more are lost."""
TAP_BYTES = 16 << 20
"""The same in memory; one event always waits, however large."""

AT_ONCE = 16
"""Outputs of a node that are handed on before the rest of the process has its turn."""


@dataclass(frozen=True, slots=True)
class TapEvent:
    """An output of ``node_id``, as the node gave it.

    ``lost`` counts the events that this tap's reader was too slow for, up to this one.
    """

    node_id: str
    value: Value
    sequence: int
    part: int
    timestamp_us: int
    lost: int


class Tap:
    """The outputs of a node as they come, for one reader: iterate over it.

    It ends with the node or the session, or when it is closed. It never makes anybody wait: what
    its reader is too slow for is lost, oldest first, and counted.
    """

    def __init__(self, node_id: str, let_go: Callable[[Tap], None]) -> None:
        self.node_id = node_id
        self.lost = 0
        self.closed = False
        self._let_go = let_go
        self._events: deque[tuple[Message, int]] = deque()
        self._held = 0
        self._over = False
        self._pump = LoopPump()

    def close(self) -> None:
        """See nothing more; doing it twice is harmless."""
        self.closed = True
        self._events.clear()
        self.end()
        self._let_go(self)

    def end(self) -> None:
        """Nothing more comes; what waits can still be read."""
        self._over = True
        self._pump.notify()

    def note(self, message: Message, nbytes: int) -> None:
        """Keep an output of that size, whose memory is nobody else's, until it is read."""
        self._events.append((message, nbytes))
        self._held += nbytes
        while len(self._events) > 1 and self._is_full:
            self._held -= self._events.popleft()[1]
            self.lost += 1
        self._pump.notify()

    def __aiter__(self) -> Tap:
        return self

    async def __anext__(self) -> TapEvent:
        while not self._events:
            if self._over:
                raise StopAsyncIteration
            await self._pump.idle()
        message, nbytes = self._events.popleft()
        self._held -= nbytes
        return TapEvent(
            self.node_id,
            message.value,
            message.sequence,
            message.part,
            message.timestamp_us,
            self.lost,
        )

    @property
    def _is_full(self) -> bool:
        return len(self._events) > TAP_MESSAGES or self._held > TAP_BYTES


class TapLane:
    """The lane that a node's outputs come by, for all taps of it: the node gives each one once.

    It is drained as soon as anything comes, and what comes is copied: no memory of the pipeline
    waits for a reader. ``over`` is set when nothing more comes.
    """

    def __init__(self, end: ConsumerEnd) -> None:
        self.end = end
        self.taps: set[Tap] = set()
        self.over = asyncio.Event()
        self._last = 0
        end.on_change = self.drain

    def drain(self) -> None:
        """Hand on what has come, within reason: a node may be quicker than this, for ever."""
        for _ in range(AT_ONCE):
            if not self._hand_on():
                return
        asyncio.get_running_loop().call_soon(self._go_on)

    def drain_last(self) -> None:
        """Hand on what has come by the end of the session; its node may still be at work."""
        for _ in range(2 * self.end.spec.capacity):
            if not self._hand_on():
                return

    def _go_on(self) -> None:
        if not self.over.is_set():  # else the lane may be gone
            self.drain()

    def _hand_on(self) -> bool:
        """The next output, to all taps; False where there is none now."""
        message = self.end.take()
        if message is None:
            if self.end.ended:
                self.finish()
            return False
        lost = (message.epoch - self._last - 1) % NUMBERS
        self._last = message.epoch
        copy = replace(message, value=own(message.value))
        nbytes = held_bytes(copy.value)
        for tap in self.taps:
            tap.lost += lost
            tap.note(copy, nbytes)
        return True

    def finish(self) -> None:
        """Nothing more comes."""
        self.over.set()
        for tap in self.taps:
            tap.end()
