"""A thread of a node's own, for the plain functions that would hold up the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from penstock.errors import NodeExecutionError, SupervisionError
from penstock.executors.calling import carried, describe_fault

_Job = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]


class NoThreadError(Exception):  # never leaves the executor
    """The machine has no room for another thread."""


def error_of(
    node_id: str, during: str, cause: BaseException | None
) -> NodeExecutionError | SupervisionError:
    """What the session ends with: what the node raised, or that it had no thread to run on."""
    if isinstance(cause, NoThreadError):
        lacking = "there is no room for another (ulimit -u, pids.max, or memory)"
        return SupervisionError(f"node {node_id!r} can't have a thread for {during}: {lacking}")
    return describe_fault(node_id, during, cause)


class NodeThread:
    """Runs one call at a time; awaited, it gives the call's result.

    It is a daemon: a node that never returns can't keep the program from ending. Raises
    ``NoThreadError``.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as exc:
            raise NoThreadError from exc

    @property
    def ident(self) -> int | None:
        """The thread's, as ``threading`` has it."""
        return self._thread.ident

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        future = self._loop.create_future()
        self._jobs.put((future, function, args))
        return await future

    async def aclose(self, limit_s: float) -> bool:
        """Let the current call end; whether it did within the limit."""
        ended = self._loop.create_future()
        self._jobs.put((ended, _nothing, ()))
        self._jobs.put(None)
        done, _ = await asyncio.wait([ended], timeout=limit_s)
        if done:
            self._thread.join()
        return bool(done)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._run(*job)

    def _run(
        self, future: asyncio.Future[Any], function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = function(*args)
        except BaseException as exc:  # noqa: BLE001  # it belongs to who awaits the call
            error = carried(exc)
        try:
            self._loop.call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            return  # the loop was closed without waiting: nobody is left to tell


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # cancelled meanwhile
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _nothing() -> None:
    """What the last job does."""
