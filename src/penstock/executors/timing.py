"""The time that a node's methods take, and the fault that is what they raise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from penstock.executors.calling import NodeFault, is_being_cancelled
from penstock.executors.emitter import Counters
from penstock.executors.pulse import Pulse


class Clock:
    """Adds up ``execution_ns``, and shows in the node's vitals that a call goes on.

    Whatever a method raises comes out as a ``NodeFault``. With ``cancels`` what is awaited may be
    cut short, but for ``interrupt``: then its result is None.
    """

    __slots__ = ("_cancels", "_cut", "_pulse", "_stats", "_task")

    def __init__(self, stats: Counters, pulse: Pulse, *, cancels: bool = False) -> None:
        self._stats = stats
        self._pulse = pulse
        self._cancels = cancels
        self._task: asyncio.Task[Any] | None = None
        self._cut = False

    def call(self, during: str, function: Callable[..., Any], *args: Any) -> Any:
        """The result of a plain function."""
        started = perf_counter_ns()
        self._pulse.begin(started)
        try:
            return function(*args)
        except (Exception, asyncio.CancelledError) as exc:  # nobody cancels a plain call
            raise NodeFault(during) from exc
        finally:
            self._pulse.end(started)
            self._stats.execution_ns += perf_counter_ns() - started

    async def wait(self, during: str, work: Awaitable[Any]) -> Any:
        """The result of something to await; a cancellation from outside passes through."""
        started = perf_counter_ns()
        self._pulse.begin(started)
        if self._cancels and during != "interrupt":
            self._task = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError as exc:
            if self._was_only_cut():
                return None
            if is_being_cancelled():
                raise
            raise NodeFault(during) from exc  # the node's own: a task of its, say
        except Exception as exc:
            raise NodeFault(during) from exc
        finally:
            self._was_only_cut()
            self._task = None
            self._pulse.end(started)
            self._stats.execution_ns += perf_counter_ns() - started

    def cut_short(self) -> None:
        """Cancel what is awaited now, if that may be; the loop that awaits it goes on."""
        if self._task is not None and not self._cut:
            self._cut = True
            self._task.cancel()

    def _was_only_cut(self) -> bool:
        """Whether nobody but ``cut_short`` has cancelled the task, which then forgets that."""
        if not self._cut or self._task is None:
            return False
        self._cut = False
        return self._task.uncancel() == 0
