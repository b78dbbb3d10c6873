"""What it means to run a node, the same on every executor.

Takes messages from the inbound lanes as they come, calls the node, stamps what it gives, and
puts that into the outbound lanes, each as it has space. How to wait and where to call is
handed in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from time import perf_counter_ns
from typing import Any, NamedTuple

from penstock.bridges import ConsumerEnd, ProducerEnd
from penstock.data import Kind, Message, Value
from penstock.errors import LaneError
from penstock.executors.calling import (
    Caller,
    NodeFault,
    close_iterator,
    each_value,
    is_being_cancelled,
    is_value,
)
from penstock.executors.pump import Pump
from penstock.executors.statistics import NodeStatistics
from penstock.nodes import Node

_REMEMBERED = 128


class Stamper:
    """Numbers a node's outputs: the sequence of the last input, and a part within it.

    The parts of a sequence are counted on when another input comes in between, as it may
    behind a fan-in, for as long as that is one of the last few.
    """

    __slots__ = ("_epoch", "_node_id", "_parts", "_sequence", "_timestamp_us")

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._sequence = self._timestamp_us = self._epoch = 0
        self._parts = {0: 0}

    def follow(self, message: Message) -> None:
        """What comes next is made of this input."""
        self._count(message.sequence)
        self._timestamp_us = message.timestamp_us
        self._epoch = message.epoch

    def advance(self) -> None:
        """What comes next is made of nothing: a producer's own numbering."""
        self._count(self._sequence + 1)

    def stamp(self, value: Value) -> Message:
        part = self._parts[self._sequence]
        self._parts[self._sequence] = part + 1
        return Message(value, self._sequence, part, self._timestamp_us, self._epoch, self._node_id)

    def _count(self, sequence: int) -> None:
        self._sequence = sequence
        if sequence not in self._parts:
            self._parts[sequence] = 0
            if len(self._parts) > _REMEMBERED:
                del self._parts[next(iter(self._parts))]


class Identity(NamedTuple):
    """Which node it is, and what it has declared to give."""

    node_id: str
    emits: frozenset[Kind]


class NodeLoop:
    """Runs one node from its first input, or its first own output, to its last flush.

    ``run`` raises ``NodeFault`` where the node raises, and ``LaneError`` for a lane that
    carries rubbish; cancelling it closes the node's open generator.
    """

    def __init__(self, node: Node, identity: Identity, pump: Pump, call: Caller) -> None:
        self.node = node
        self.inputs: list[ConsumerEnd] = []
        self.outputs: list[ProducerEnd] = []
        self.stats = NodeStatistics()
        self.producing = True
        self._pump = pump
        self._call = call
        self._emits = identity.emits
        self._stamper = Stamper(identity.node_id)
        self._turn: deque[ConsumerEnd] = deque()

    async def run(self) -> None:
        """Until the inputs have ended, everything is flushed, and the consumers know."""
        if hasattr(self.node, "produce"):
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

    async def _consume(self) -> None:
        process = self.node.process  # type: ignore[attr-defined]  # the catalogue saw to it
        while (message := await self._next()) is not None:
            self.node.ctx.arrival = message
            self._stamper.follow(message)
            self.stats.items += 1
            result = await self._timed("process", self._call(process, message.value))
            if result is not None:
                await self._emit_all(result, "process")
            del message, result  # an idle node holds no input
            self.node.ctx.arrival = None

    async def _produce(self) -> None:
        produce = self.node.produce  # type: ignore[attr-defined]  # the catalogue saw to it
        values = await self._timed("produce", self._call(produce))
        each = each_value(values, self._call)
        try:
            while self.producing and (value := await self._following(each, "produce")) is not None:
                self._stamper.advance()
                self.stats.items += 1
                await self._emit(value, "produce")
                await self._pump.breathe()
        finally:
            await self._timed("produce", _close(each, values))

    async def _flush(self) -> None:
        if type(self.node).flush is Node.flush:
            return
        await self._emit_all(await self._timed("flush", self._call(self.node.flush)), "flush")

    async def _next(self) -> Message | None:
        """The next input; None when all have ended. The rest of the process has a turn, too."""
        message = self._take()
        if message is not None:
            await self._pump.breathe()
            return message
        while message is None:
            if all(end.ended for end in self.inputs):
                return None
            await self._pump.idle()
            message = self._take()
        return message

    def _take(self) -> Message | None:
        """What has arrived, lanes in turn."""
        if len(self._turn) != len(self.inputs):
            self._turn = deque(self.inputs)
        for _ in range(len(self._turn)):
            end = self._turn[0]
            self._turn.rotate(-1)
            message = end.take()
            if message is not None:
                return message
        return None

    async def _emit_all(self, result: Any, during: str) -> None:
        if is_value(result):
            await self._emit(result, during)
            return
        each = each_value(result, self._call)
        try:
            while (value := await self._following(each, during)) is not None:
                await self._emit(value, during)
                await self._pump.breathe()
        finally:
            await self._timed(during, _close(each, result))

    async def _emit(self, value: Value, during: str) -> None:
        if value.kind not in self._emits:
            raise NodeFault(during) from TypeError(
                f"gave {value.kind}, but declares {', '.join(sorted(self._emits)) or 'nothing'}"
            )
        message = self._stamper.stamp(value)
        self.stats.outputs += 1
        waiting = self._refused(self.outputs, message, during)
        while waiting:
            await self._pump.idle()
            waiting = self._refused(waiting, message, during)

    def _refused(self, ends: list[ProducerEnd], message: Message, during: str) -> list[ProducerEnd]:
        """Offer the message to each lane; those that have no space for it."""
        try:
            return [end for end in ends if not end.offer(message)]
        except LaneError:
            raise
        except Exception as exc:
            raise NodeFault(during) from exc

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
