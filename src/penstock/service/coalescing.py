"""An event loop that lets what comes from many streams add up, and works on it at once.

A chunk and its result wake a service's loop three times, and waking costs more than what is then
done. A loop that has many streams, and little time left, therefore rests for a moment before it
looks for more. Network drivers do the same, and call it *interrupt coalescing*: see
docs/decisions/0035.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Iterator
from time import monotonic, sleep

from penstock.executors.multiprocess.reactor_loop import ReactorLoop, ReactorSelector
from penstock.executors.multiprocess.transport.ring import hold_bells, release_bells

STREAMS = 32
"""Streams that have sent something lately, from which on it rests: fewer have nothing to add up."""
REST_S = 0.001
"""The longest rest; a chunk waits for two at most, and each time for what was found with it."""
BUSY, STILL_BUSY = 0.5, 0.2
"""The share of its time that a loop is at work from which on it rests, and goes on to."""
JUDGED_EACH_S = 0.1
_WORK_TO_REST = 2.0


class RestingSelector(ReactorSelector):
    """Waits for files as ``ReactorSelector`` does; while ``resting``, some time after it was asked.

    That is twice as long as was worked since the last wait, and never longer than ``REST_S``. It
    is not done while callbacks wait, nor beyond a timer's time. What callbacks send to other
    processes meanwhile wakes these together, before the next wait. ``active_streams`` is asked
    how many have sent something since it was asked before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.active_streams: Callable[[], int] = _none
        self.resting = False
        self._passed_by = False
        self._woke_at = self._judged_at = monotonic()
        self._waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        callbacks_wait = timeout is not None and timeout <= 0
        if callbacks_wait and self.resting and not self._passed_by:
            self._passed_by = True  # every other time is enough: it takes a system call
            return []
        self._passed_by = False
        release_bells()
        found = super().select(0) if callbacks_wait else self._wait(timeout)
        if self.resting:
            hold_bells()
        return found

    def close(self) -> None:
        release_bells()
        super().close()

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        asked_at = monotonic()
        if self.resting:
            rest_s = min((asked_at - self._woke_at) * _WORK_TO_REST, REST_S, timeout or REST_S)
            sleep(rest_s)
            timeout = None if timeout is None else max(timeout - rest_s, 0.0)
        handled_before_ns = self.reactor.handled_ns
        found = super().select(timeout)
        handled_s = (self.reactor.handled_ns - handled_before_ns) / 1e9
        self._woke_at = monotonic() - handled_s  # what the reactor handled was work
        self._waited_s += self._woke_at - asked_at
        if self._woke_at - self._judged_at >= JUDGED_EACH_S:
            self._judge()
        return found

    def _judge(self) -> None:
        elapsed_s = self._woke_at - self._judged_at
        busy = 1 - self._waited_s / elapsed_s
        active = self.active_streams()
        self.resting = active >= STREAMS and busy >= (STILL_BUSY if self.resting else BUSY)
        self._judged_at, self._waited_s = self._woke_at, 0.0


class CoalescingLoop(ReactorLoop):
    """A ``ReactorLoop`` on a ``RestingSelector``; for a service, see ``coalescing``."""

    def __init__(self) -> None:
        self.selector = RestingSelector()
        super().__init__(self.selector)


@contextlib.contextmanager
def coalescing(active_streams: Callable[[], int]) -> Iterator[None]:
    """Have this loop rest where there are many streams, if it is one that can.

    ``active_streams`` says how many have sent something since it was asked last.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, CoalescingLoop):
        yield
        return
    loop.selector.active_streams = active_streams
    try:
        yield
    finally:
        loop.selector.active_streams = _none


def _none() -> int:
    return 0
