"""Nodes that are slow, or hang in one of their methods, in every way that a node can be run."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from penstock.data import ExecutorType, Text
from penstock.nodes import Node, NodeParams, node

Method = Literal["setup", "process", "flush", "teardown", "nothing"]


class HangingParams(NodeParams):
    method: Method = "nothing"


_released = threading.Event()


def wait_in_plain() -> None:
    _released.wait()


def release() -> None:
    """Let the threads of native nodes in this process go, which nothing else can end."""
    global _released  # noqa: PLW0603  # the next test has an event of its own
    _released.set()
    _released = threading.Event()


async def wait_in_async() -> None:
    await asyncio.get_running_loop().create_future()


class Hanging(Node):
    """Never comes back from ``method``."""

    Params = HangingParams
    params: HangingParams

    def _meet(self, method: Method) -> None:
        if self.params.method == method:
            wait_in_plain()

    def setup(self) -> None:
        self._meet("setup")

    def process(self, item: Text) -> Text:
        self._meet("process")
        return item

    def flush(self) -> None:
        self._meet("flush")

    def teardown(self) -> None:
        self._meet("teardown")


@node("hanging")
class HangingInProcess(Hanging):
    """In a process."""


@node("hanging_native", executor=ExecutorType.NATIVE)
class HangingNative(Hanging):
    """On a thread."""


class HangingAsync(Node):
    """The same, waiting in an event loop."""

    Params = HangingParams
    params: HangingParams

    async def _meet(self, method: Method) -> None:
        if self.params.method == method:
            await wait_in_async()

    async def setup(self) -> None:
        await self._meet("setup")

    async def process(self, item: Text) -> AsyncIterator[Text]:
        await self._meet("process")
        yield item

    async def flush(self) -> None:
        await self._meet("flush")


@node("hanging_async")
class HangingAsyncInProcess(HangingAsync):
    """In a process."""


@node("hanging_async_native", executor=ExecutorType.NATIVE)
class HangingAsyncNative(HangingAsync):
    """In the session's process."""


class HangingAtOnce(Node):
    """Gives all inputs but the first, and never comes back from that."""

    concurrency = 4
    ordered = False
    _first = True

    async def process(self, item: Text) -> Text:
        is_first, self._first = self._first, False
        if is_first:
            await wait_in_async()
        return item


@node("hanging_at_once")
class HangingAtOnceInProcess(HangingAtOnce):
    """In a process."""


@node("hanging_at_once_native", executor=ExecutorType.NATIVE)
class HangingAtOnceNative(HangingAtOnce):
    """In the session's process."""


class SlowParams(NodeParams):
    seconds: float = 0.1
    outputs: int = 1


class Slow(Node):
    """Takes its time over each output."""

    Params = SlowParams
    params: SlowParams

    def process(self, item: Text) -> Iterator[Text]:
        for _ in range(self.params.outputs):
            time.sleep(self.params.seconds)
            yield item


@node("unhurried")
class SlowInProcess(Slow):
    """In a process."""


@node("unhurried_native", executor=ExecutorType.NATIVE)
class SlowNative(Slow):
    """On a thread."""


class SlowSource(Node):
    """Waits long for each of its values, as a microphone may."""

    Params = SlowParams
    params: SlowParams

    def produce(self) -> Iterator[Text]:
        for number in range(self.params.outputs):
            time.sleep(self.params.seconds)
            yield Text(str(number))


@node("slow_source")
class SlowSourceInProcess(SlowSource):
    """In a process."""


@node("slow_source_native", executor=ExecutorType.NATIVE)
class SlowSourceNative(SlowSource):
    """On a thread."""


@node("obstinate")
class Obstinate(Hanging):
    """Heeds no signal that it needn't."""

    def setup(self) -> None:
        everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        signal.pthread_sigmask(signal.SIG_BLOCK, everything)
        super().setup()
