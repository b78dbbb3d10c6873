"""How many calls are begun in one turn of the loop, by all connections together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

_AT_ONCE = 8
"""To begin one takes as long as a few chunks do."""


class Turnstile:
    """Lets through a few in each turn of the loop; those that have to wait, in turn.

    Thousands that come at once would keep everything else waiting until all of them are begun.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = _AT_ONCE
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_counting = False

    def admits(self) -> bool:
        """Whether one more may pass now; else it is to ``wait``."""
        if self._waiting or not self._left:
            return False
        self._left -= 1
        if not self._is_counting:
            self._is_counting = True
            self._loop.call_soon(self._begin_turn)
        return True

    def wait(self, pass_through: Callable[[], None]) -> None:
        """Have this called when it is its turn: one may pass then."""
        self._waiting.append(pass_through)

    def _begin_turn(self) -> None:
        self._is_counting = bool(self._waiting)
        self._left = _AT_ONCE
        if self._is_counting:
            self._loop.call_soon(self._begin_turn)
        while self._left and self._waiting:
            self._left -= 1
            self._waiting.popleft()()
