"""Works on several inputs of one async node at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from time import perf_counter_ns
from typing import Any

from penstock.data import Json, Message, Value
from penstock.executors.calling import Caller, NodeFault, each_value
from penstock.executors.identity import Identity
from penstock.executors.node_loop import NodeLoop
from penstock.executors.node_state import NodeState
from penstock.executors.pulse import Pulse
from penstock.executors.pump import Pump
from penstock.executors.vitals import OverlappingPulse
from penstock.nodes import Node

LANDING_S = 0.5
"""How long inputs that are being worked on have to end after they were cancelled."""
_NOTHING = Json(None)


class _Flight:
    """One input that is being worked on; ``value`` is an output that waits to be given.

    The node is left out of what it gives ``instead``.
    """

    __slots__ = ("_taken", "abandoned", "instead", "landed", "message", "part", "task", "value")

    def __init__(self, message: Message, instead: list[Value] | None) -> None:
        self.message = message
        self.instead = instead
        self.part = 0
        self.value: Value | None = None
        self.landed = False
        self.abandoned = False
        self.task: asyncio.Task[BaseException | None] | None = None
        self._taken: asyncio.Future[None] | None = None

    async def hand_over(self, value: Value) -> None:
        """Hold the output out until somebody takes it; cancelled where nobody will."""
        if self.abandoned:
            raise asyncio.CancelledError
        self.value = value
        self._taken = asyncio.get_running_loop().create_future()
        await self._taken

    def take(self) -> Value | None:
        """The output, and let the work go on."""
        value, self.value = self.value, None
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)
        return value


class ConcurrentLoop(NodeLoop):
    """A ``NodeLoop`` for a node with ``concurrency`` over 1, in an event loop.

    Each input has a task of its own, which makes values; this loop alone takes and gives.
    What one of them raises ends them all, and so does a cancellation; one that doesn't heed
    its own is left behind after ``LANDING_S``.
    """

    _last: Message | None = None

    def __init__(
        self,
        node: Node,
        identity: Identity,
        pump: Pump,
        call: Caller,
        pulse: Pulse,
        *,
        direct: bool,
    ) -> None:
        super().__init__(node, identity, pump, call, OverlappingPulse(pulse), direct=direct)
        self._flights: list[_Flight] = []

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        return [flight.task for flight in self._flights if flight.task is not None]

    async def _consume(self) -> None:
        try:
            while self._flights or self._emitter.waiting or not self._intake.ended:
                took_off = await self._take_off()
                if self._give_what_is_ready() or took_off:
                    await self._pump.breathe()
                elif self._flights or self._emitter.waiting:
                    await self._pump.idle()
                elif not self._intake.ended:
                    await self._wait_for_input()
                if self._fault is not None:
                    raise self._fault
        finally:
            await self._land()
        if self._last is not None:
            self._emitter.stamper.follow(self._last)

    async def _take_off(self) -> bool:
        """Begin with what has come, as far as there is room; whether anything has."""
        took_off = False
        if self.turn.has_news:  # what takes the room may be of a turn that is over
            await self._begin_turn()
        while len(self._flights) < type(self.node).concurrency:
            message = self._intake.take()
            if self.turn.has_news:
                message = await self._in_this_turn(message)
            if message is None:
                break
            took_off = True
            enabled = self.state is NodeState.ENABLED
            self.stats.items += enabled
            self._last = message.replace(value=_NOTHING)
            flight = _Flight(message, None if enabled else self._passed_by(message))
            flight.task = asyncio.create_task(self._fly(flight))
            flight.task.add_done_callback(partial(self._landed, flight))
            self._flights.append(flight)
        return took_off

    async def _fly(self, flight: _Flight) -> BaseException | None:
        """What went wrong, for the loop to raise: an exit from a task ends its event loop."""
        try:
            await self._work_on(flight)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001  # see above
            return exc
        return None

    async def _work_on(self, flight: _Flight) -> None:
        if flight.instead is not None:
            for passed in flight.instead:
                self._pump.notify()
                await flight.hand_over(passed)
            return
        started = perf_counter_ns()
        self.node.ctx.arrival = flight.message
        work = self._call(self._bound(flight.message.value))
        result = await self._clock.wait("process", work)
        each = each_value(result, self._call)
        delivery = self._delivery
        try:
            while (value := await delivery.following(each, "process")) is not None:
                self._pump.notify()
                await flight.hand_over(value)
        finally:
            await delivery.close(each, result, "process")
            self.stats.count_overlapping(perf_counter_ns() - started)
            if self.trail is not None:
                self.trail.note(flight.message, started)

    async def _begin_turn(self) -> None:
        """What is being worked on was begun in the turn before."""
        if self.turn.is_over:
            self.stats.interrupted += len(self._flights)
            await self._land()
        await super()._begin_turn()

    def _landed(self, flight: _Flight, task: asyncio.Task[BaseException | None]) -> None:
        flight.landed = True
        if task.cancelled():
            self._fault = self._fault or (None if flight.abandoned else _cancelled())
        else:
            self._fault = self._fault or task.result()
        self._pump.notify()

    def _give_what_is_ready(self) -> bool:
        """Give one output, or see one input off; whether there was any."""
        if self._emitter.waiting:
            self._emitter.give_again("process")
            return not self._emitter.waiting
        for flight in self._candidates():
            if flight.value is not None:
                self._let_others_first(flight)
                self._give(flight)
                return True
            if flight.landed:
                self._flights.remove(flight)
                return True
        return False

    def _let_others_first(self, flight: _Flight) -> None:
        """One that always has a value must not keep the others from giving theirs."""
        if not self.node.ordered:
            self._flights.remove(flight)
            self._flights.append(flight)

    def _candidates(self) -> Sequence[_Flight]:
        return self._flights[:1] if self.node.ordered else self._flights

    def _give(self, flight: _Flight) -> None:
        stamper = self._emitter.stamper
        stamper.follow(flight.message)
        flight.part = stamper.skip_to(flight.part) + 1
        value = flight.take()
        if value is not None:
            self._emitter.give(value, "process")

    async def _land(self) -> None:
        """End whatever is still being worked on."""
        tasks = []
        for flight in self._flights:
            flight.abandoned = True
            if flight.task is not None and flight.task.cancel():
                tasks.append(flight.task)
        if tasks:
            await asyncio.wait(tasks, timeout=LANDING_S)
        self._flights.clear()


def loop_class(node_class: type[Node]) -> type[NodeLoop]:
    """What runs the nodes of a class. ``concurrency`` is the class's: an instance has no say."""
    return ConcurrentLoop if node_class.concurrency > 1 else NodeLoop


def _cancelled() -> NodeFault:
    """The fault of a node that cancelled its own work, say."""
    fault = NodeFault("process")
    fault.__cause__ = asyncio.CancelledError()
    return fault
