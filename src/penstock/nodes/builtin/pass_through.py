"""Gives every input on as it is, in the session's process."""

from __future__ import annotations

from penstock.data import ExecutorType, Value
from penstock.nodes.base import Node, node


@node("PassThrough", executor=ExecutorType.NATIVE)
class PassThrough(Node):
    """Pass every input on unchanged."""

    blocking = False

    def process(self, item: Value) -> Value:
        return item
