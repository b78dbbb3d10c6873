"""What a node gives, shown to whoever wants to see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from penstock.bridges import ConsumerEnd
from penstock.data import Value, own
from penstock.executors.pump import LoopPump
from penstock.executors.side_lanes import NO_MORE, NUMBERS
from penstock.session.bus.backlog import Backlog

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

    def __init__(self, node_id: str, backlog: Backlog, let_go: Callable[[Tap], None]) -> None:
        self.node_id = node_id
        self.closed = False
        self._backlog = backlog
        self._let_go = let_go
        self._place = backlog.end
        self._before = backlog.shown
        self._given = 0
        self._lost: int | None = None
        self._over = False
        self._pump = LoopPump()

    @property
    def lost(self) -> int:
        """The outputs that its reader was too slow for, so far.

        That is final once the tap has come to its end, with those after its last event. A tap
        that is closed counts no more. What a process had not told when it died is not known.
        """
        if self._lost is not None:
            return self._lost
        return self._backlog.shown - self._before - self._given - self.waiting

    @property
    def waiting(self) -> int:
        """The outputs that can be read now."""
        return 0 if self.closed else self._backlog.waiting(self._place)

    def close(self) -> None:
        """See nothing more; doing it twice is harmless."""
        if not self.closed:
            self._lost, self.closed = self.lost, True
            self._backlog.leave(self._place)
        self.end()
        self._let_go(self)

    def end(self) -> None:
        """Nothing more comes; what waits can still be read."""
        self._over = True
        self.notify()

    def notify(self) -> None:
        """Something has come, or the end."""
        self._pump.notify()

    def __aiter__(self) -> Tap:
        return self

    async def __anext__(self) -> TapEvent:
        if not await self.ready():
            raise StopAsyncIteration
        return self.take()

    async def ready(self) -> bool:
        """Wait until there is something to ``take``; False where there will be nothing more."""
        while not self.waiting:
            if self._over:
                return False
            await self._pump.idle()
        return True

    def take(self) -> TapEvent:
        """The next of what is ``waiting``."""
        shown, self._place = self._backlog.read(self._place)
        self._given += 1
        message = shown.message
        return TapEvent(
            self.node_id,
            message.value,
            message.sequence,
            message.part,
            message.timestamp_us,
            shown.number - self._before - self._given,
        )


class TapLane:
    """The lane that a node's outputs come by, for all taps of it: the node gives each one once.

    It is drained as soon as anything comes, and what comes is copied: no memory of the pipeline
    waits for a reader. ``over`` is set when nothing more comes.
    """

    def __init__(self, end: ConsumerEnd, backlog: Backlog) -> None:
        self.end = end
        self.backlog = backlog
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
        self.backlog.shown += (message.epoch - self._last) % NUMBERS
        self._last = message.epoch
        if message.part != NO_MORE:
            copy = message.replace(value=own(message.value))
            self.backlog.keep(copy, len(self.taps))
            for tap in self.taps:
                tap.notify()
        return True

    def finish(self) -> None:
        """Nothing more comes."""
        self.over.set()
        for tap in self.taps:
            tap.end()
