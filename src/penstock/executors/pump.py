"""How a node's loop waits: on a reactor, without an event loop, or in one."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Protocol


class Pump(Protocol):
    """Lets the rest of the process get on with its work."""

    async def idle(self) -> None:
        """Wait until a lane may have changed."""

    async def breathe(self) -> None:
        """Let what is ready have its turn, and come back at once."""

    def notify(self) -> None:
        """Have who waits look again; for the thread that waits."""


class LoopPump:
    """Waits in an asyncio loop; ``notify`` belongs into the lanes' ``on_change``.

    ``closed`` says that its executor wants the node to end.
    """

    def __init__(self) -> None:
        self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: asyncio.Future[None] | None = None

    def notify(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Nothing will change any more: who waits, or comes to wait, is cancelled."""
        self.closed = True
        self.notify()

    async def idle(self) -> None:
        if self.closed:
            raise asyncio.CancelledError
        if self._loop is None:  # to ask for it is a system call before Python 3.12
            self._loop = asyncio.get_running_loop()
        self._waiting = self._loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    async def breathe(self) -> None:
        await _Turn()


class _Turn:
    """Awaited, it gives the event loop one turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield
