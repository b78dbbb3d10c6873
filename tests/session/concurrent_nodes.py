"""Nodes of the tests of concurrency, of fused chains, and of the loop that async nodes run on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

from penstock.bridges.direct import DirectProducer
from penstock.data import ExecutorType, Json, Text
from penstock.nodes import Node, NodeContext, NodeParams, node


class Meet(Node):
    """Nobody gets through alone: waits until four inputs are there."""

    concurrency = 4

    async def setup(self) -> None:
        self._together = asyncio.Barrier(4)

    async def process(self, item: Text) -> Text:
        await self._together.wait()
        assert self.ctx.arrival is not None
        return Text(f"{item.text} {self.ctx.arrival.sequence}")


@node("meet", executor=ExecutorType.MULTIPROCESS)
class MeetInProcess(Meet):
    """In a process."""


@node("meet_native", executor=ExecutorType.NATIVE)
class MeetNative(Meet):
    """In the session's process."""


class FailTogether(Node):
    """Waits for ever, but for the input that fails."""

    concurrency = 3

    async def process(self, item: Text) -> Text:
        if item.text == "bad":
            raise ValueError("no good")
        await asyncio.Event().wait()
        return item


@node("fail_together", executor=ExecutorType.MULTIPROCESS)
class FailTogetherInProcess(FailTogether):
    """In a process."""


@node("fail_together_native", executor=ExecutorType.NATIVE)
class FailTogetherNative(FailTogether):
    """In the session's process."""


@node("which_loop")
class WhichLoop(Node):
    """Names the package of the event loop that it runs on."""

    async def process(self, item: Text) -> Text:
        return Text(type(asyncio.get_running_loop()).__module__.partition(".")[0])


@node("nested", executor=ExecutorType.NATIVE)
class Nested(Node):
    """Says how many nodes have called the next one at this moment, after what was said before."""

    blocking = False

    def process(self, item: Json) -> Json:
        count, frame = 0, sys._getframe()
        while frame is not None:
            count += frame.f_code is DirectProducer.offer.__code__
            frame = frame.f_back  # type: ignore[assignment]  # the outermost has none
        return Json([*item.value, count])


@node("nested_apart", executor=ExecutorType.NATIVE)
class NestedApart(Nested):
    """The same on a thread."""

    blocking = True


@node("picky", executor=ExecutorType.NATIVE)
class Picky(Node):
    """Raises for what it is told to."""

    blocking = False

    def process(self, item: Json) -> Json:
        if item.value == [self.ctx.node_id]:
            raise ValueError("not this")
        return item


class GiveUp(NodeParams):
    how: str = ""


def give_up(how: str) -> None:
    if how == "exit":
        sys.exit("enough")
    if how == "interrupt":
        raise KeyboardInterrupt("enough")
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@node("gives_up", executor=ExecutorType.NATIVE)
class GivesUp(Node):
    """Gives its input, then wants to end everything that it runs in, in the way ``how`` says."""

    Params = GiveUp
    params: GiveUp

    async def process(self, item: Text) -> AsyncIterator[Text]:
        yield item
        give_up(self.params.how)
        await asyncio.sleep(0)


@node("gives_up_together", executor=ExecutorType.NATIVE)
class GivesUpTogether(GivesUp):
    """The same with several inputs at once."""

    concurrency = 2


@node("gives_up_called", executor=ExecutorType.NATIVE)
class GivesUpCalled(Node):
    """The same as a direct call."""

    Params = GiveUp
    params: GiveUp
    blocking = False

    def process(self, item: Text) -> Text:
        give_up(self.params.how)
        return item


@node("gives_up_at_the_end", executor=ExecutorType.NATIVE)
class GivesUpAtTheEnd(GivesUpCalled):
    """The same in ``flush``."""

    def process(self, item: Text) -> Text:
        return item

    def flush(self) -> Iterator[Text]:
        give_up(self.params.how)
        yield Text("never")


@node("changes_its_mind")
class ChangesItsMind(Node):
    """Asks for several inputs at once when it is too late."""

    async def setup(self) -> None:
        self.concurrency = 4  # type: ignore[misc]  # what the test is about

    async def process(self, item: Text) -> Text:
        await asyncio.sleep(0)
        assert self.ctx.arrival is not None
        return Text(f"{item.text} {self.ctx.arrival.sequence}")


@node("changes_its_mind_at_once")
class ChangesItsMindAtOnce(ChangesItsMind):
    """The same as early as an instance can."""

    def __init__(self, params: NodeParams, ctx: NodeContext) -> None:
        super().__init__(params, ctx)
        self.concurrency = 4  # type: ignore[misc]  # the same
