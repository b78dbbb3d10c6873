"""Sees on the event loop that no native node takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from penstock.executors.vitals import Busy, Vitals

_HELD_UP_S = 0.05
"""How late the event loop may come before it is its own fault that nodes are late."""


class Watch:
    """Tells ``on_late`` of a call that takes over ``limit_s``, once.

    It wakes when one can be late, not before: every ``limit_s`` while nodes are quick. Time in
    which the event loop was held up is given back to those who wait for it.
    """

    def __init__(self, vitals: Vitals, limit_s: float, on_late: Callable[[Busy], None]) -> None:
        self._vitals = vitals
        self._limit_s = limit_s
        self._on_late = on_late
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._look_in(self._limit_s)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, wait_s: float) -> None:
        due = self._loop.time() + wait_s
        self._timer = self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        held_up_s = self._loop.time() - due
        if held_up_s > _HELD_UP_S:
            self._look_in(held_up_s)
            return
        now_ns = perf_counter_ns()
        call = self._vitals.overdue(now_ns, self._limit_s)
        if call is None:
            self._look_in(self._vitals.look_again_s(now_ns, self._limit_s))
        else:
            self._on_late(call)
