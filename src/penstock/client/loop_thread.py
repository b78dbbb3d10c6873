"""An event loop on a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from penstock.errors import SessionClosedError, SessionError

_Result = TypeVar("_Result")
STOP_S = 10.0
"""How long what is left on the loop may take to end."""


class LoopThread:
    """Runs coroutines for other threads, which wait for them."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = False
        self._scheduling = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result], timeout_s: float | None = None) -> _Result:
        """The result; after ``timeout_s`` the work is cancelled, and ``TimeoutError`` raised.

        Work that is done by then gives its result, late as the caller may hear of it: nothing is
        taken and then lost. An exception that interrupts the wait, such as Ctrl-C, cancels the
        work too. Raises ``SessionError`` on the thread itself, which would wait for itself.
        """
        future = self._begin(work, timeout_s)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise SessionClosedError("the client was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether it runs anything any more."""
        return not self._closed

    def close(self) -> None:
        """End everything on the loop, and the thread; doing it twice is harmless."""
        with self._scheduling:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)

    def _begin(
        self, work: Coroutine[Any, Any, _Result], timeout_s: float | None
    ) -> concurrent.futures.Future[_Result]:
        """What begins before the loop is told to stop is ended with it; nothing begins after."""
        with self._scheduling:
            if not self._closed and threading.current_thread() is not self._thread:
                return asyncio.run_coroutine_threadsafe(_within(work, timeout_s), self._loop)
        work.close()
        if self._closed:
            raise SessionClosedError("the client is closed")
        raise SessionError("a callback must not call the client: it would wait for itself")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_end_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()


async def _within(work: Coroutine[Any, Any, _Result], timeout_s: float | None) -> _Result:
    async with asyncio.timeout(timeout_s):
        return await work


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
