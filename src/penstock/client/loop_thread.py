"""An event loop on a thread of its own, for programs that have none."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from penstock.client.limits import check_timeout
from penstock.errors import InputError, SessionClosedError, SessionError

_Result = TypeVar("_Result")
STOP_S = 10.0
"""How long what is left on the loop may take to end."""


class LoopThread:
    """Runs coroutines for other threads, which wait for them."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = False
        self._pid = os.getpid()
        self._scheduling = threading.RLock()  # what is collected meanwhile may run something, too
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result], timeout_s: float | None = None) -> _Result:
        """The result; after ``timeout_s`` the work is cancelled, and ``TimeoutError`` raised.

        Work that is done by then gives its result, late as the caller may hear of it: nothing is
        taken and then lost. An exception that interrupts the wait, such as Ctrl-C, cancels the
        work too. Raises ``SessionError`` on the thread itself, which would wait for itself, and
        ``InputError`` for a ``timeout_s`` that is no time.
        """
        future: Future[_Result] = Future()
        try:
            self._begin(_limited(work, timeout_s), future)
            return future.result()
        except CancelledError:
            raise SessionClosedError("the client was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether it runs anything any more."""
        return not (self._closed or self._was_forked)

    @property
    def _was_forked(self) -> bool:
        """Whether this is another process than the one that has the thread."""
        return os.getpid() != self._pid

    def close(self) -> None:
        """End everything on the loop, and the thread; doing it twice is harmless."""
        if self._was_forked:
            return
        with self._scheduling:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)

    def _begin(self, work: Coroutine[Any, Any, _Result], future: Future[_Result]) -> None:
        """What begins before the loop is told to stop is ended with it; nothing begins after.

        The future is there before: Ctrl-C between the two leaves no work that nobody can cancel.
        """
        if self._was_forked:  # nobody would ever do it; the lock may be held for ever, too
            work.close()
            raise SessionClosedError("the client is of the process that this one was forked from")
        if threading.current_thread() is not self._thread:
            with self._scheduling:
                if not self._closed:
                    self._loop.call_soon_threadsafe(_start, work, future)
                    return
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


async def following(items: AsyncIterator[_Result]) -> _Result | None:
    """The next one; None at the end."""
    return await anext(items, None)


def _limited(
    work: Coroutine[Any, Any, _Result], timeout_s: float | None
) -> Coroutine[Any, Any, _Result]:
    try:
        check_timeout(timeout_s)
    except InputError:
        work.close()
        raise
    return work if timeout_s is None else _within(work, timeout_s)


async def _within(work: Coroutine[Any, Any, _Result], timeout_s: float) -> _Result:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():  # the work's own
            raise
        raise TimeoutError(f"it was not done within {timeout_s:g} s (timeout_s)") from None
    finally:
        work.close()


def _start(work: Coroutine[Any, Any, _Result], future: Future[_Result]) -> None:
    """On the loop: have the future tell what becomes of the work, and cancel it with the future."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    task.add_done_callback(lambda task: _settle(task, future))

    def cancel(future: Future[_Result]) -> None:
        if future.cancelled() and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    future.add_done_callback(cancel)


def _settle(task: asyncio.Task[_Result], future: Future[_Result]) -> None:
    if task.cancelled():
        future.cancel()
    elif future.set_running_or_notify_cancel():
        if (failure := task.exception()) is not None:
            future.set_exception(failure)
        else:
            future.set_result(task.result())


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
