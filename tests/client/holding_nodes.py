"""Nodes that can be held, and that give what the protocol has no place for."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.data import CancelSpeculation, Control, ExecutorType, Json, Text
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


@node("says_unspeakable", executor=ExecutorType.NATIVE)
class SaysUnspeakable(Node):
    """The protocol has no times before 0."""

    def process(self, item: Text) -> Control | Text:
        return Control(CancelSpeculation(-1, 0)) if item.text == "unspeakable" else item


@node("takes_all", executor=ExecutorType.NATIVE)
class TakesAll(Node):
    """Gives texts."""

    def process(self, item: Control | Text) -> Text:
        return item if isinstance(item, Text) else Text("control")
