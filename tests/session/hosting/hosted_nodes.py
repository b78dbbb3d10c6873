"""Nodes for the tests of hosted sessions, and what became of their processes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from penstock.data import ExecutorType, Text
from penstock.nodes import Node, node


@node("whereabouts", executor=ExecutorType.NATIVE)
class Whereabouts(Node):
    """Give the process that it runs in; what it got goes to stdout."""

    def process(self, item: Text) -> Text:
        if item.text:
            print(item.text)
        return Text(str(os.getpid()))


@node("long_winded", executor=ExecutorType.NATIVE)
class LongWinded(Node):
    """Raise more than fits into any control message."""

    def process(self, item: Text) -> Text:
        raise ValueError("x" * (65 << 20))


async def gone(*pids: int) -> None:
    """Wait until all of them have ended, by the kernel's word."""
    loop = asyncio.get_running_loop()
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        loop.add_reader(pidfd, ended.set)
        try:
            async with asyncio.timeout(10):
                await ended.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)


def parent(pid: int) -> int:
    """The parent of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])
