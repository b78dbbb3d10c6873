"""Where a client meets its session: an inlet for each source, an outlet for each sink."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from penstock.bridges import ProducerEnd
from penstock.data import Message
from penstock.executors.pump import LoopPump
from penstock.session.crossing import Crossing, Crossings


class Inlet(Crossing):
    """A lane into a node; several tasks may send, in the order in which they ask.

    ``is_reached`` says that the node of one that was laid while it ran has its end by now.
    """

    def __init__(self, end: ProducerEnd) -> None:
        super().__init__(end)
        self.is_reached = False
        self._pump = LoopPump()
        self._lock = asyncio.Lock()
        end.on_change = self._pump.notify

    def wake(self) -> None:
        self._pump.notify()

    async def put(
        self,
        message: Message,
        check: Callable[[], None],
        on_stall: Callable[[], Awaitable[None]],
        stall_s: float,
    ) -> None:
        """Wait for space and send; ``check`` raises where waiting is over.

        ``on_stall`` is awaited whenever this inlet has not moved for ``stall_s`` seconds.
        """
        self._putting += 1
        try:
            async with self._lock:
                check()
                while not self._offered(message):
                    try:
                        async with asyncio.timeout(stall_s):
                            await self._pump.idle()
                    except TimeoutError:
                        await on_stall()
                    check()
        finally:
            self._putting -= 1


class Gateway(Crossings):
    """All inlets and outlets of a session, by node ID."""

    def add_inlet(self, node_id: str, end: ProducerEnd) -> None:
        self.inlets[node_id] = Inlet(end)

    def end(self) -> None:
        """No more inputs."""
        if not self.ended:
            self.ended = True
            for inlet in self.inlets.values():
                inlet.end.end()

    def wake(self) -> None:
        """Have everybody who waits look again."""
        self._pump.notify()
        for inlet in self.inlets.values():
            inlet.wake()

    @property
    def waiting(self) -> tuple[str, ...]:
        """The sources that somebody is sending to, and can't go on."""
        return tuple(node_id for node_id, inlet in self.inlets.items() if inlet.is_waiting)

    async def idle(self, at_once: Callable[[], bool] | None = None) -> None:
        """Wait until there may be something to take, or everything is over.

        ``at_once`` is called where that comes, and says whether the wait goes on nevertheless.
        """
        self._at_once = at_once
        try:
            await self._pump.idle()
        finally:
            self._at_once = None
