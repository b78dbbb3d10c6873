"""Gives every input on as it is, from a process of its own."""

from __future__ import annotations

from penstock.data import ExecutorType, Value
from penstock.nodes.base import Node, node


@node("EchoNode", executor=ExecutorType.MULTIPROCESS)
class Echo(Node):
    """Pass every input on unchanged, in a process of its own."""

    def process(self, item: Value) -> Value:
        return item
