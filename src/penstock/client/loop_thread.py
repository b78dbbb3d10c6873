"""An event loop on a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from penstock.errors import SessionClosedError

_Result = TypeVar("_Result")
STOP_S = 10.0
"""How long what is left on the loop may take to end."""


class LoopThread:
    """Runs coroutines for other threads, which wait for them."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result], timeout_s: float | None = None) -> _Result:
        """The result; after ``timeout_s`` the work is cancelled, and ``TimeoutError`` raised.

        An exception that interrupts the wait, such as Ctrl-C, cancels the work too.
        """
        if not self.is_alive:
            work.close()
            raise SessionClosedError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.CancelledError:
            raise SessionClosedError("the client was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether it runs anything any more."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End everything on the loop, and the thread; doing it twice is harmless."""
        if self.is_alive:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_end_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
