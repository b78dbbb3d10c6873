"""Nodes to be watched and changed while they run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import numpy as np

from penstock.data import Binary, ExecutorType, Json, Text, replace
from penstock.nodes import Join, Node, node


class _Adds(Node):
    """Adds its letter to a text."""

    letter = ""
    blocking = False

    def process(self, item: Text) -> Text:
        return Text(item.text + self.letter)


@node("adds_a", executor=ExecutorType.NATIVE)
class AddsA(_Adds):
    letter = "a"


@node("adds_b", executor=ExecutorType.NATIVE)
class AddsB(_Adds):
    letter = "b"


@node("adds_c", executor=ExecutorType.NATIVE)
class AddsC(_Adds):
    letter = "c"


@node("adds_b_on_thread", executor=ExecutorType.NATIVE)
class AddsBOnThread(AddsB):
    blocking = True


@node("adds_b_async", executor=ExecutorType.NATIVE)
class AddsBAsync(Node):
    async def process(self, item: Text) -> Text:
        await asyncio.sleep(0)
        return Text(item.text + "b")


@node("adds_b_several", executor=ExecutorType.NATIVE)
class AddsBSeveral(AddsBAsync):
    concurrency = 4


@node("joins", executor=ExecutorType.NATIVE)
class Joins(Join):
    """Says what belongs together."""

    def process(self, left: Text, right: Text) -> Text:
        return Text(f"{left.text}+{right.text}")


@node("counts_letters")
class CountsLetters(Node):
    """Gives another kind than it takes."""

    def process(self, item: Text) -> Json:
        return Json(len(item.text))


@node("dies_on_second")
class DiesOnSecond(Node):
    """Is gone when it is told to die."""

    def process(self, item: Text) -> Text:
        if item.text == "die":
            os._exit(3)
        return item


@node("tells_descriptors")
class TellsDescriptors(Node):
    """Says how many its process has open."""

    def process(self, item: Binary) -> Binary:
        count = len(os.listdir("/proc/self/fd"))
        return replace(item, metadata={"descriptors": str(count)})


@node("adds_a_apart")
class AddsAApart(_Adds):
    """In a process."""

    letter = "a"


class _SaysTooMuch(Node):
    """Passes its input on, then gives what only a lane within a process can carry."""

    def process(self, item: Text) -> Iterator[Text | Binary]:
        yield item
        for _ in range(3):
            yield Binary(np.zeros(1 << 20, np.uint8))


@node("says_too_much")
class SaysTooMuch(_SaysTooMuch):
    pass


@node("says_too_much_natively", executor=ExecutorType.NATIVE)
class SaysTooMuchNatively(_SaysTooMuch):
    pass


@node("swallows")
class Swallows(Node):
    """In a process; takes numbers, and gives nothing."""

    def process(self, item: Json) -> Json | None:
        return None
