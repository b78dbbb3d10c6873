"""Nodes of the two sessions."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter_ns

from bench.burning.work import burn
from penstock.data import ExecutorType, Json
from penstock.nodes import Node, node


@node("Stamp", executor=ExecutorType.NATIVE)
class Stamp(Node):
    """Say when the input was here, by a clock that all processes share."""

    blocking = False

    def process(self, item: Json) -> Json:
        return Json(perf_counter_ns())


class Took(Node):
    """Say how long a stamp was on its way, in ns."""

    def process(self, item: Json) -> Json:
        return Json(perf_counter_ns() - item.value)


@node("TookNative", executor=ExecutorType.NATIVE)
class TookNative(Took):
    """On a thread of the session's process."""


@node("TookProcess", executor=ExecutorType.MULTIPROCESS)
class TookProcess(Took):
    """In a process of its own."""


@node("NativeBurner", executor=ExecutorType.NATIVE)
class NativeBurner(Node):
    """Compute in Python from the first input on, and let nobody else have the GIL."""

    def process(self, item: Json) -> Iterator[Json]:
        yield item
        while not self.ctx.stopping:
            burn()
