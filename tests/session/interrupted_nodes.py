"""Nodes that are interrupted, each in its own way; what they say of it goes out as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from pydantic import Field

from penstock.data import Binary, ExecutorType, Json, Text
from penstock.nodes import Node, NodeParams, node


class RepeatParams(NodeParams):
    """How often each text is repeated."""

    times: int = Field(1000, ge=1)


class _Repeats(Node):
    """Gives each text many times; says when it is closed and when it is told."""

    Params = RepeatParams
    params: RepeatParams

    def setup(self) -> None:
        self.closed = self.told = 0

    def interrupt(self) -> None:
        self.told += 1

    def process(self, item: Text) -> Iterator[Text | Json]:
        if item.text == "report":
            yield Json({"closed": self.closed, "told": self.told})
            return
        try:
            for number in range(self.params.times):
                yield Text(f"{item.text} {number}")
        except GeneratorExit:
            self.closed += 1
            raise


@node("RepeatsHere", executor=ExecutorType.NATIVE)
class RepeatsHere(_Repeats):
    """Quick, on the event loop."""

    blocking = False


@node("RepeatsOnThread", executor=ExecutorType.NATIVE)
class RepeatsOnThread(_Repeats):
    """On a thread of its own."""


@node("RepeatsApart", executor=ExecutorType.MULTIPROCESS)
class RepeatsApart(_Repeats):
    """In a process of its own."""


class _Waits(Node):
    """Async: gives the text, and then waits for ever; says whether that was cancelled."""

    async def setup(self) -> None:
        self.cancelled = self.told = 0

    async def interrupt(self) -> None:
        self.told += 1

    async def process(self, item: Text) -> AsyncIterator[Text | Json]:
        if item.text == "report":
            yield Json({"closed": self.cancelled, "told": self.told})
            return
        try:
            yield item
            await asyncio.Event().wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise


@node("WaitsHere", executor=ExecutorType.NATIVE)
class WaitsHere(_Waits):
    """On the session's event loop."""


@node("WaitsApart", executor=ExecutorType.MULTIPROCESS)
class WaitsApart(_Waits):
    """In a process of its own."""


@node("WaitsForSeveral", executor=ExecutorType.MULTIPROCESS)
class WaitsForSeveral(_Waits):
    """Several at once."""

    concurrency = 3


@node("WaitsForSeveralHere", executor=ExecutorType.NATIVE)
class WaitsForSeveralHere(_Waits):
    """Several at once, on the session's event loop."""

    concurrency = 3


class _Computes(Node):
    """Computes until it sees that it was interrupted, and gives what nobody wants any more."""

    def process(self, item: Text) -> Iterator[Text]:
        yield Text(f"began {item.text}")
        if item.text == "long":
            while not self.ctx.interrupted:
                continue
            yield Text("stale")


@node("ComputesApart", executor=ExecutorType.MULTIPROCESS)
class ComputesApart(_Computes):
    """In a process of its own."""


@node("ComputesOnThread", executor=ExecutorType.NATIVE)
class ComputesOnThread(_Computes):
    """On a thread of its own."""


class ListenerParams(NodeParams):
    """Which node it interrupts."""

    target: str | None = None


class _Listener(Node):
    """Passes texts on; ``stop`` interrupts, and itself comes after that."""

    Params = ListenerParams
    params: ListenerParams

    def process(self, item: Text) -> Iterator[Text]:
        if item.text == "stop":
            self.ctx.interrupt(self.params.target)
        yield item


@node("ListensHere", executor=ExecutorType.NATIVE)
class ListensHere(_Listener):
    """On the event loop."""

    blocking = False


@node("ListensOnThread", executor=ExecutorType.NATIVE)
class ListensOnThread(_Listener):
    """On a thread."""


@node("ListensApart", executor=ExecutorType.MULTIPROCESS)
class ListensApart(_Listener):
    """In a process."""


@node("Holds", executor=ExecutorType.MULTIPROCESS)
class Holds(Node):
    """Holds on to what is big for as long as it is interrupted not."""

    def process(self, item: Binary) -> Binary | None:
        while item.data[0] == 0 and not self.ctx.interrupted:
            continue
        return item


class _FailsToldOf(Node):
    """Can't cope with interrupts."""

    def process(self, item: Text) -> Text:
        return item

    def interrupt(self) -> None:
        raise LookupError("what turn?")


@node("FailsApart", executor=ExecutorType.MULTIPROCESS)
class FailsApart(_FailsToldOf):
    """In a process of its own."""


@node("FailsHere", executor=ExecutorType.NATIVE)
class FailsHere(_FailsToldOf):
    """On the event loop."""

    blocking = False


@node("HangsToldOf", executor=ExecutorType.MULTIPROCESS)
class HangsToldOf(Node):
    """Takes for ever when it is told."""

    def process(self, item: Text) -> Text:
        return item

    def interrupt(self) -> None:
        while True:
            continue
