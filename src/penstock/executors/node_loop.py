"""What it means to run a node, the same on every executor.

Takes messages from the inbound lanes as they come, calls the node, stamps what it gives, and
puts that into the outbound lanes, each as it has space. How to wait and where to call is
handed in. Where nothing has to wait, a message is worked on without a coroutine in the way.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from time import perf_counter_ns
from typing import Any

from penstock.bridges import ConsumerEnd, ProducerEnd, no_listener
from penstock.data import Message, Value
from penstock.executors.calling import (
    VALUE_TYPES,
    Caller,
    NodeFault,
    close_iterator,
    each_value,
    is_being_cancelled,
)
from penstock.executors.emitter import Emitter, Identity
from penstock.executors.intake import InTurn
from penstock.executors.pump import Pump
from penstock.executors.statistics import NodeStatistics
from penstock.nodes import Node

TURN_NS = 200_000
"""How long a node works on what waits for it before the rest of the process has its turn."""


class NodeLoop:
    """Runs one node from its first input, or its first own output, to its last flush.

    ``run`` raises ``NodeFault`` where the node raises, and ``LaneError`` for a lane that
    carries rubbish; cancelling it closes the node's open generator. With ``direct`` it calls
    ``process`` itself and not by ``call``; only then may a producer ``accept`` for it.
    """

    def __init__(
        self, node: Node, identity: Identity, pump: Pump, call: Caller, *, direct: bool
    ) -> None:
        self.node = node
        self.direct = direct
        self.stats = NodeStatistics()
        self.producing = True
        self.wake = no_listener
        self._pump = pump
        self._call = call
        self._process = getattr(node, "process", None)
        self._intake = InTurn()
        self._emitter = Emitter(identity, self.stats)
        self._result: Any = None
        self._fault: BaseException | None = None
        self._resting = False
        self._turn_ends = 0

    @property
    def inputs(self) -> list[ConsumerEnd]:
        """The lanes to take from; more may be added at any time."""
        return self._intake.lanes

    @property
    def outputs(self) -> list[ProducerEnd]:
        """The lanes to give to; more may be added at any time."""
        return self._emitter.lanes

    async def run(self) -> None:
        """Until the inputs have ended, everything is flushed, and the consumers know."""
        if self._process is None:
            await self._produce()
        else:
            await self._consume()
        await self._flush()
        for end in self.outputs:
            end.end()
        while not all(end.finished for end in self.outputs):
            await self._pump.idle()

    def stop_producing(self) -> None:
        """Have ``produce`` end after its current output."""
        self.producing = False

    def accept(self, message: Message) -> bool:
        """Work on a message at once, as a call from its producer; False where it must queue.

        What it raises is this node's affair: ``run`` raises it when it is woken by ``wake``.
        """
        if not self._resting:
            return False
        self._resting = False
        try:
            self._work(message)
        except BaseException as exc:  # noqa: BLE001  # nothing of it is the producer's
            self._fault = exc
        if self._fault is None and self._result is None and not self._emitter.waiting:
            self._resting = True
        else:
            self.wake()
        return True

    async def _consume(self) -> None:
        intake, emitter = self._intake, self._emitter
        while True:
            message = intake.take()
            if message is None:
                if intake.ended:
                    return
                await self._rest()
            elif self.direct:
                self._work(message)
            else:
                await self._work_by_call(message)
            del message  # who waits holds no input
            if self._result is not None or emitter.waiting:
                await self._give_the_rest()
            if perf_counter_ns() >= self._turn_ends:
                await self._breathe()

    def _work(self, message: Message) -> None:
        """Process an input, and give its one result, as far as nothing has to wait."""
        self._begin(message)
        started = perf_counter_ns()
        try:
            result = self._process(message.value)  # type: ignore[misc]  # who consumes has one
        except (Exception, asyncio.CancelledError) as exc:
            raise NodeFault("process") from exc
        finally:
            self.stats.execution_ns += perf_counter_ns() - started
        self._conclude(result)

    async def _work_by_call(self, message: Message) -> None:
        """The same with a method that is async, or runs on a thread."""
        self._begin(message)
        work = self._call(self._process, message.value)  # type: ignore[arg-type]  # the same
        self._conclude(await self._timed("process", work))

    def _begin(self, message: Message) -> None:
        self.node.ctx.arrival = message
        self._emitter.stamper.follow(message)
        self.stats.items += 1

    def _conclude(self, result: Any) -> None:
        """Give the result, or leave several to who can wait."""
        if result is not None and type(result) not in VALUE_TYPES:
            self._result = result
            return
        self.node.ctx.arrival = None
        if result is not None:
            self._emitter.give(result, "process")

    async def _give_the_rest(self) -> None:
        await self._wait_for_space("process")
        result, self._result = self._result, None
        if result is None:
            return
        if self.direct and inspect.isawaitable(result):
            result = await self._timed("process", self._call(_itself, result))
        await self._emit_all(result, "process")
        self.node.ctx.arrival = None

    async def _rest(self) -> None:
        """Wait until a lane has changed; meanwhile a producer may call this node itself."""
        self._resting = True
        try:
            await self._pump.idle()
        finally:
            self._resting = False
        self._turn_ends = perf_counter_ns() + TURN_NS
        if self._fault is not None:
            raise self._fault

    async def _breathe(self) -> None:
        await self._pump.breathe()
        self._turn_ends = perf_counter_ns() + TURN_NS

    async def _produce(self) -> None:
        produce = self.node.produce  # type: ignore[attr-defined]  # the catalogue saw to it
        values = await self._timed("produce", self._call(produce))
        each = each_value(values, self._call)
        try:
            while self.producing and (value := await self._following(each, "produce")) is not None:
                self._emitter.stamper.advance()
                self.stats.items += 1
                await self._emit(value, "produce")
                await self._breathe()
        finally:
            await self._timed("produce", _close(each, values))

    async def _flush(self) -> None:
        if type(self.node).flush is Node.flush:
            return
        await self._emit_all(await self._timed("flush", self._call(self.node.flush)), "flush")

    async def _emit_all(self, result: Any, during: str) -> None:
        """Give each value before the next is made."""
        each = each_value(result, self._call)
        try:
            while (value := await self._following(each, during)) is not None:
                await self._emit(value, during)
                await self._breathe()
        finally:
            await self._timed(during, _close(each, result))

    async def _emit(self, value: Value, during: str) -> None:
        self._emitter.give(value, during)
        await self._wait_for_space(during)

    async def _wait_for_space(self, during: str) -> None:
        """Until every lane has taken the last output."""
        while self._emitter.waiting:
            await self._pump.idle()
            self._emitter.give_again(during)

    async def _timed(self, during: str, work: Awaitable[Any]) -> Any:
        started = perf_counter_ns()
        try:
            return await work
        except asyncio.CancelledError as exc:
            if is_being_cancelled():
                raise
            raise NodeFault(during) from exc  # the node's own: a task of its, say
        except Exception as exc:
            raise NodeFault(during) from exc
        finally:
            self.stats.execution_ns += perf_counter_ns() - started

    async def _following(self, each: AsyncIterator[Value], during: str) -> Value | None:
        """The next of several outputs, None after the last."""
        return await self._timed(during, anext(each, None))  # type: ignore[no-any-return]  # timed is untyped


async def _close(each: AsyncGenerator[Value, None], result: Any) -> None:
    await each.aclose()
    closing = close_iterator(result)
    if closing is not None:
        await closing


def _itself(result: Any) -> Any:
    """What a caller that can wait awaits."""
    return result
