"""The time that a node's methods take, and the fault that is what they raise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from penstock.executors.calling import NodeFault, is_being_cancelled
from penstock.executors.statistics import NodeStatistics
from penstock.executors.vitals import Pulse


class Clock:
    """Adds up ``execution_ns``, and shows in the node's vitals that a call goes on.

    Whatever a method raises comes out as a ``NodeFault``.
    """

    __slots__ = ("_pulse", "_stats")

    def __init__(self, stats: NodeStatistics, pulse: Pulse) -> None:
        self._stats = stats
        self._pulse = pulse

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
        try:
            return await work
        except asyncio.CancelledError as exc:
            if is_being_cancelled():
                raise
            raise NodeFault(during) from exc  # the node's own: a task of its, say
        except Exception as exc:
            raise NodeFault(during) from exc
        finally:
            self._pulse.end(started)
            self._stats.execution_ns += perf_counter_ns() - started
