"""Somebody who watches and changes a running session, and takes it all along when he leaves."""

from __future__ import annotations

from collections.abc import Callable

from penstock.data import Message, Value
from penstock.errors import InputError, SessionClosedError
from penstock.executors.node_state import NodeState
from penstock.session.bus.bus import Bus
from penstock.session.bus.intercept import DEADLINE_S, Intercept, InterceptRequest
from penstock.session.bus.tap import Tap
from penstock.session.options import Interruption


class Attachment:
    """Taps, intercepts and node states of one party.

    ::

        async with session.attach() as attachment:
            async for event in await attachment.tap("asr"):
                print(event.sequence, event.value)

    ``x_nowait`` has the session do it; ``x`` waits until the node has heeded it, which one that
    computes does afterwards. Each raises ``UnknownNodeError`` for a node that there is not, and
    the session's failure, or ``SessionClosedError``, when it is over.
    """

    def __init__(
        self,
        bus: Bus,
        check: Callable[[], None],
        stamp: Callable[[Value, int], Message],
        on_interrupt: Callable[[Interruption], None] | None,
    ) -> None:
        self._bus = bus
        self._check_session = check
        self._stamp = stamp
        self._on_interrupt = on_interrupt
        self._taps: list[Tap] = []
        self._intercepts: dict[str, Intercept] = {}
        self._closed = False
        if on_interrupt is not None:
            bus.listeners.add(on_interrupt)

    async def until_over(self) -> None:
        """Wait for the end of the session; whatever came before it can be read."""
        await self._bus.over.wait()

    async def tap(self, node_id: str) -> Tap:
        """See what a node gives, as it gives it: before an intercept changes it."""
        tap = self.tap_nowait(node_id)
        await self._bus.confirmed(node_id)
        return tap

    def tap_nowait(self, node_id: str) -> Tap:
        self._check()
        tap = self._bus.tap(node_id)
        self._taps = [one for one in self._taps if not one.closed] + [tap]
        return tap

    async def intercept(self, node_id: str, deadline_s: float = DEADLINE_S) -> Intercept:
        """Decide about each output of a node before it goes on.

        A second one takes the place of the first. Raises ``NodeAddressError`` where somebody
        else intercepts that node.
        """
        intercept = self.intercept_nowait(node_id, deadline_s)
        await self._bus.confirmed(node_id)
        return intercept

    def intercept_nowait(self, node_id: str, deadline_s: float = DEADLINE_S) -> Intercept:
        self._check()
        former = self._intercepts.get(node_id)
        self._intercepts[node_id] = self._bus.intercept(node_id, deadline_s, former)
        return self._intercepts[node_id]

    def request(self, number: int) -> InterceptRequest | None:
        """What an intercept of this attachment asks by that number; None where it is settled.

        Raises ``InputError`` for a number that no request has ever had.
        """
        if not 0 < number <= self._bus.requests:
            raise InputError(f"correlation_id: nothing was ever asked by the number {number}")
        found = (one.pending(number) for one in self._intercepts.values())
        return next((request for request in found if request is not None), None)

    async def publish(self, node_id: str, value: Value, *, timestamp_us: int = 0) -> int:
        """Give a node an input that comes from nowhere else; wait while it has no room.

        It carries the sequence number of the session's last input, which is returned. Raises
        ``NodeAddressError`` for a node that takes none, and ``InvalidValueError`` for a value
        that the node doesn't take.
        """
        self._check()
        message = self._stamp(value, timestamp_us)
        await self._bus.inject(node_id, message, self._check)
        return message.sequence

    async def set_state(self, node_id: str, state: NodeState) -> None:
        """Have a node work on its inputs, or leave it out, for as long as this attachment lasts.

        Where several attachments have a say, the last one counts. Raises ``InputError`` for what
        is no state.
        """
        self.set_state_nowait(node_id, state)
        await self._bus.confirmed(node_id)

    def set_state_nowait(self, node_id: str, state: NodeState) -> None:
        self._check()
        self._bus.set_state(node_id, state, self)

    def check_node(self, node_id: str) -> None:
        """Raise ``UnknownNodeError`` for a node that there is not, of which nothing is wished."""
        self._bus.node(node_id)

    async def confirmed(self, node_id: str) -> None:
        """Wait until a node has heeded what this attachment has done so far."""
        self._check()
        self._bus.node(node_id)
        await self._bus.confirmed(node_id)

    def close(self) -> None:
        """Remove all of it; doing it twice is harmless."""
        if self._closed:
            return
        self._closed = True
        for tap in self._taps:
            tap.close()
        for intercept in self._intercepts.values():
            intercept.close()
        self._bus.forget(self)
        if self._on_interrupt is not None:
            self._bus.listeners.discard(self._on_interrupt)

    def _check(self) -> None:
        if self._closed:
            raise SessionClosedError("the attachment has been closed")
        self._check_session()
