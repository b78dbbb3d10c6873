"""What it means to run a node, the same on every executor.

Takes messages from the inbound lanes as they come, calls the node, stamps what it gives, and
puts that into the outbound lanes, each as it has space. How to wait and where to call is
handed in. Where nothing has to wait, a message is worked on without a coroutine in the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter_ns
from typing import Any

from penstock.bridges import Accept, ConsumerEnd, ProducerEnd, Purpose
from penstock.data import Message, Value
from penstock.executors.calling import (
    END,
    Caller,
    checked,
    close_iterator,
    each_value,
    is_async_method,
    plain_values,
)
from penstock.executors.delivery import Delivery
from penstock.executors.emitter import Counters, Emitter, Turn
from penstock.executors.identity import Identity
from penstock.executors.intake import Intake
from penstock.executors.joining import Matching, by_name
from penstock.executors.node_state import NodeState
from penstock.executors.pulse import Pulse
from penstock.executors.pump import Pump
from penstock.executors.statistics import NodeStatistics
from penstock.executors.timing import Clock
from penstock.executors.work import InTurn, Work
from penstock.nodes import Join, Node

TURN_NS = 200_000
"""How long a node works on what waits for it before the rest of the process has its turn."""


class NodeLoop(Work):
    """Runs one node from its first input, or its first own output, to its last flush.

    ``run`` raises ``NodeFault`` where the node raises, and ``LaneError`` for a lane that
    carries rubbish; cancelling it closes the node's open generator. With ``direct`` it calls
    ``process`` itself and not by ``call``; only then may a producer ``accept`` for it.
    ``during`` is the method that it calls, ``pulse`` shows each call as it goes on. With a
    ``trail`` it leaves a span there for each input.
    """

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
        stats, process = Counters(), getattr(node, "process", None)
        is_join = isinstance(node, Join)
        intake: Intake = (
            Matching(node.params, stats, identity.epochs) if is_join else InTurn(identity.epochs)
        )
        emitter = Emitter(identity, stats, Turn(identity.epochs, identity.slot))
        super().__init__(
            node,
            by_name(process) if process and is_join else process,
            intake,
            emitter,
            stats,
            pump,
            pulse,
            direct=direct,
        )
        self.producing = True
        self.during = "produce" if process is None else "process"
        self._call = call
        self._is_join = is_join
        cancels = is_async_method(type(node), "process") and type(node).concurrency == 1
        self._clock = Clock(stats, pulse, cancels=cancels)
        self._delivery = Delivery(emitter, pump, call, self._clock, direct=direct)
        self._turn_ends = 0

    @property
    def inputs(self) -> list[ConsumerEnd]:
        """The lanes to take from; more may be added at any time."""
        return self._intake.lanes

    @property
    def outputs(self) -> list[ProducerEnd]:
        """The lanes to give to; more may be added at any time."""
        return self._emitter.lanes

    def attach(self, end: ProducerEnd | ConsumerEnd) -> None:
        """Have a lane from or to the client that is no part of the pipeline."""
        side = self._emitter.side
        match end.spec.purpose:
            case Purpose.INJECTION:
                self._intake.injections.append(end)  # type: ignore[arg-type]  # its purpose says
            case Purpose.VERDICT:
                side.heed(end)  # type: ignore[arg-type]  # the same
            case _:
                side.attach(end)  # type: ignore[arg-type]  # the same
        self._pump.notify()

    def detach(self, end: ProducerEnd | ConsumerEnd) -> None:
        """Go on without such a lane; doing it twice is harmless."""
        self._emitter.side.detach(end)
        self._intake.injections[:] = [lane for lane in self._intake.injections if lane is not end]
        self._pump.notify()

    async def run(self) -> None:
        """Until the inputs have ended, everything is flushed, and the consumers know."""
        self._pulse.enter(self.during)
        if self._process is None:
            await self._produce()
        else:
            await self._consume()
        await self._flush()
        self._emitter.side.end()
        for end in self.outputs:
            end.end()
        while not all(end.finished for end in self.outputs):
            await self._pump.idle()

    def stop_producing(self) -> None:
        """Have ``produce`` end after its current output."""
        self.producing = False

    def interrupt(self) -> None:
        """An interrupt has come about: stop what is awaited for a turn that is over, and look."""
        if self.turn.is_over:
            self._clock.cut_short()
        self._pump.notify()

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those that it works in besides the one that runs it."""
        return []

    @property
    def acceptor(self) -> Accept | None:
        """What a producer may call for a direct call; None for a node that has to wait."""
        return self.accept if self.works_at_once else None

    def measured(self) -> NodeStatistics:
        """The counters, and what the node waits for now."""
        stats, waiting = self.stats.measured(), self._emitter.waiting
        if waiting and not (self.turn.is_asking or self._emitter.parked):
            stats.waits_for = [end.spec.target for end in waiting]
        elif self._idle:
            stats.waits_for = self._intake.lacking()
            stats.for_any = not self._is_join
        return stats

    async def _consume(self) -> None:
        intake, emitter, turn = self._intake, self._emitter, self.turn
        while True:
            message, self._held = self._held or intake.take(), None
            if turn.has_news:  # only now: what is taken may be of a turn that has just begun
                message = await self._in_this_turn(message)
            if message is None:
                if intake.ended:
                    return
                await self._wait_for_input()
            elif self.state is not NodeState.ENABLED:
                for value in self._passed_by(message):
                    await self._delivery.one(value, "process")
            elif self.direct:
                self._work(message)
            else:
                await self._work_by_call(message)
            del message  # who waits holds no input
            if self._result is not None or emitter.waiting:
                await self._finish_giving()
            if perf_counter_ns() >= self._turn_ends:
                await self._breathe()

    async def _work_by_call(self, message: Message) -> None:
        """The same with a method that is async, or runs on a thread."""
        self._begin(message)
        work = self._call(self._bound(message.value))
        self._conclude(await self._clock.wait("process", work))

    def _bound(self, value: Any) -> Callable[[], Any]:
        """A call of ``process`` that can still be told to be async."""
        process = self.node.process  # type: ignore[attr-defined]  # who consumes has one
        return partial(process, **value) if self._is_join else partial(process, value)

    def _passed_by(self, message: Message) -> list[Value]:
        """Leave the node out; what is to be given in its place, of the kinds that it gives."""
        self.stats.skipped += 1
        if self.state is NodeState.DISABLED:
            return []
        self._emitter.stamper.follow(message)
        values: Any = message.value
        each = values.values() if self._is_join else (values,)
        return [value for value in each if value.kind in self._emitter.emits]

    async def _in_this_turn(self, message: Message | None) -> Message | None:
        """The next input: that one, unless what was interrupted as it was taken made it stale."""
        while self.turn.has_news:
            await self._begin_turn()
            if message is not None and self._intake.is_stale(message):
                self.stats.interrupted += 1
                message = None
            message = message or self._intake.take()
        return message

    async def _begin_turn(self) -> None:
        """Something was interrupted: where that concerns this node's work, the node is told."""
        if self.turn.begin():
            self._context.turn = self.turn.begun
            if type(self.node).interrupt is not Node.interrupt:
                self._pulse.enter("interrupt")
                await self._clock.wait("interrupt", self._call(self.node.interrupt))
                self._pulse.enter(self.during)
        self._intake.renew()

    async def _finish_giving(self) -> None:
        await self._delivery.settle("process")
        result, self._result = self._result, None
        if result is not None:
            await self._delivery.all_of(result, "process")
            self._count_item()
            self._context.arrival = None

    async def _wait_for_input(self) -> None:
        """Wait until a lane has changed; meanwhile a producer may call this node itself."""
        self._idle = True
        try:
            await self._pump.idle()
        finally:
            self._idle = False
        self._turn_ends = perf_counter_ns() + TURN_NS
        if self._fault is not None:
            raise self._fault

    async def _breathe(self) -> None:
        await self._pump.breathe()
        self._turn_ends = perf_counter_ns() + TURN_NS

    async def _produce(self) -> None:
        produce = self.node.produce  # type: ignore[attr-defined]  # the catalogue saw to it
        values = await self._clock.wait("produce", self._call(produce))
        plain = plain_values(values) if self.direct else None
        if plain is not None:
            await self._produce_here(plain)
        else:
            await self._produce_by_call(values)

    async def _produce_here(self, values: Iterator[Any]) -> None:
        clock = self._clock
        try:
            while self.producing and (value := clock.call("produce", next, values, END)) is not END:
                await self._give_product(clock.call("produce", checked, value))
        finally:
            clock.call("produce", close_iterator, values)

    async def _produce_by_call(self, values: Any) -> None:
        """The same with a generator that is async, or runs on a thread."""
        each, delivery = each_value(values, self._call), self._delivery
        try:
            while self.producing:
                value = await delivery.following(each, "produce")
                if value is None:
                    break
                await self._give_product(value)
        finally:
            await delivery.close(each, values, "produce")

    async def _give_product(self, value: Value) -> None:
        self._emitter.stamper.advance()
        self.stats.items += 1
        self._count_item()
        if self.state is NodeState.ENABLED:
            await self._delivery.one(value, "produce")
        else:
            self.stats.skipped += 1
        await self._pump.breathe()

    async def _flush(self) -> None:
        if self.turn.has_news:
            await self._begin_turn()
        if type(self.node).flush is not Node.flush:
            self.during = "flush"
            self._pulse.enter("flush")
            result = await self._clock.wait("flush", self._call(self.node.flush))
            self._emitter.muted = self.state is NodeState.DISABLED
            await self._delivery.all_of(result, "flush")
