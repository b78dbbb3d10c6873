"""Gives every input on as it is, from a process of its own."""

from __future__ import annotations

from penstock.data import Value
from penstock.nodes.base import Node, node


@node("EchoNode")
class Echo(Node):
    """Pass every input on unchanged, in a process of its own."""

    def process(self, item: Value) -> Value:
        return item
