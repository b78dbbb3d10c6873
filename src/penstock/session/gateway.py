"""Where a client meets its session: an inlet for each source, an outlet for each sink."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from operator import attrgetter

from penstock.bridges import ConsumerEnd, ProducerEnd
from penstock.data import Message
from penstock.errors import InputError, InvalidValueError, SessionClosedError
from penstock.executors.pump import LoopPump

_HAS_ENDED = attrgetter("ended")


class Inlet:
    """A lane into a node; several tasks may send, in the order in which they ask.

    ``is_reached`` says that the node of one that was laid while it ran has its end by now.
    """

    def __init__(self, end: ProducerEnd) -> None:
        self.end = end
        self.is_reached = False
        self._pump = LoopPump()
        self._lock = asyncio.Lock()
        self._putting = 0
        end.on_change = self._pump.notify

    def wake(self) -> None:
        self._pump.notify()

    @property
    def is_waiting(self) -> bool:
        """Whether somebody is sending, and can't go on."""
        return self._putting > 0

    def put_nowait(self, message: Message) -> bool:
        """Send where there is space and nobody waits for some; whether that was so."""
        return not self._putting and self._offered(message)

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

    def _offered(self, message: Message) -> bool:
        try:
            return self.end.offer(message)
        except (ValueError, TypeError) as exc:
            name = self.end.spec.target
            said = f"node {name!r} can't be sent this: {exc}"
            raise InvalidValueError(said, node_id=name) from exc


class Gateway:
    """All inlets and outlets of a session, by node ID."""

    def __init__(self) -> None:
        self.inlets: dict[str, Inlet] = {}
        self.outlets: dict[str, ConsumerEnd] = {}
        self.ended = False
        self._in_turn: deque[tuple[str, ConsumerEnd]] = deque()
        self._pump = LoopPump()
        self._at_once: Callable[[], bool] | None = None

    def add_inlet(self, node_id: str, end: ProducerEnd) -> None:
        self.inlets[node_id] = Inlet(end)

    def add_outlet(self, node_id: str, end: ConsumerEnd) -> None:
        end.on_change = self._arrived
        self.outlets[node_id] = end
        self._in_turn.append((node_id, end))

    def inlet(self, node_id: str, message: Message) -> Inlet:
        """The inlet for a message; raises ``InputError`` where it can't be taken."""
        inlet = self.inlets.get(node_id)
        if inlet is None:
            known = ", ".join(sorted(self.inlets)) or "none"
            said = f"node {node_id!r} takes no inputs from outside (these do: {known})"
            raise InputError(said, node_id=node_id)
        accepts = inlet.end.spec.accepts
        if message.value.kind not in accepts:
            known = ", ".join(sorted(accepts))
            said = f"node {node_id!r} accepts {known}, got {message.value.kind}"
            raise InvalidValueError(said, node_id=node_id)
        if self.ended:
            raise SessionClosedError("the session's inputs have ended")
        return inlet

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

    @property
    def drained(self) -> bool:
        """Whether every sink has ended and everything was taken."""
        return all(map(_HAS_ENDED, self.outlets.values()))  # a generator takes longer

    def take(self) -> tuple[str, Message] | None:
        """What comes out next, or None where there is nothing now; each sink has its turn."""
        in_turn = self._in_turn
        for _ in range(len(in_turn)):
            node_id, end = in_turn[0]
            in_turn.rotate(-1)
            message = end.take()
            if message is not None:
                return node_id, message
        return None

    async def idle(self, at_once: Callable[[], bool] | None = None) -> None:
        """Wait until there may be something to take, or everything is over.

        ``at_once`` is called where that comes, and says whether the wait goes on nevertheless.
        """
        self._at_once = at_once
        try:
            await self._pump.idle()
        finally:
            self._at_once = None

    def _arrived(self) -> None:
        if self._at_once is None or not self._at_once():
            self._pump.notify()
