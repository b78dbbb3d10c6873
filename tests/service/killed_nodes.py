"""Nodes whose process is killed while they are at work."""

from __future__ import annotations

import os
import signal
from threading import Barrier

from penstock import ExecutorType, Node, Text, node

BOTH_AT_WORK = Barrier(2)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


@node("dies")
class Dies(Node):
    """In a process of its own."""

    def process(self, item: Text) -> Text:
        die()
        return item


@node("dies_natively", executor=ExecutorType.NATIVE)
class DiesNatively(Dies):
    """With all that is native."""


@node("dies_beside", executor=ExecutorType.NATIVE)
class DiesBeside(Node):
    """With another that is at work."""

    def process(self, item: Text) -> Text:
        BOTH_AT_WORK.wait()
        die()
        return item
