"""A node that computes until it is told to go on."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.data import ExecutorType, Json, Text
from penstock.nodes import Node, node


@node("holds")
class Holds(Node):
    """Says so, reads a byte of the FIFO that its input names, and says so again."""

    def process(self, item: Text) -> Iterator[Text]:
        yield Text("held")
        with open(item.text, "rb", buffering=0) as fifo:
            fifo.read(1)
        yield Text("released")


@node("swallows_natively", executor=ExecutorType.NATIVE)
class SwallowsNatively(Node):
    """Takes numbers, and gives nothing."""

    def process(self, item: Json) -> Json | None:
        return None
