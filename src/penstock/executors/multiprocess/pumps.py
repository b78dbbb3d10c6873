"""How a node's process waits: on its reactor, or in an event loop that watches the reactor."""

from __future__ import annotations

from typing import Protocol

from penstock.executors.multiprocess.transport import Reactor
from penstock.executors.pump import LoopPump


class Process(Protocol):
    """The process that waits."""

    reactor: Reactor

    def check(self) -> None:
        """Raise where the process should end."""


class PlainPump:
    """Waits on the reactor itself: between a lane and ``process`` lies no event loop."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def idle(self) -> None:
        self._process.reactor.poll(None)
        self._process.check()

    async def breathe(self) -> None:
        self._process.reactor.poll(0)
        self._process.check()

    def notify(self) -> None:
        """Nobody else runs here who could have something to tell."""


class ReactorPump(LoopPump):
    """Waits in an asyncio loop that watches the reactor."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process

    def ready(self) -> None:
        self._process.reactor.poll_batch()
        self.notify()

    async def idle(self) -> None:
        await super().idle()
        self._process.check()

    async def breathe(self) -> None:
        self._process.reactor.poll(0)
        await super().breathe()
        self._process.check()
