"""How a session's outputs come to its one reader: as he asks for them, or the moment they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.executors.trail import Trail
from penstock.session.counters import Counters
from penstock.session.options import Output

if TYPE_CHECKING:
    from penstock.session.life import Life

AT_ONCE = 4
"""So many outputs are handed over without a wait, then others have their turn."""


class Reading:
    """Takes outputs for a reader who asks, and hands them over ``at_once`` while he waits.

    Whatever that refuses, or raises, is what he gets next.
    """

    def __init__(
        self,
        life: Life,
        counters: Counters,
        trail: Trail | None,
        at_once: Callable[[Output], bool] | None,
    ) -> None:
        self._life = life
        self._gateway = life.gateway
        self._counters = counters
        self._trail = trail
        self._at_once = at_once
        self._refused: Output | None = None
        self._fault: BaseException | None = None

    def take(self) -> Output | None:
        """The next output, which is being read until ``done``; None where there is none now."""
        if self._fault is not None:
            raise self._fault
        output, self._refused = self._refused, None
        return output or self._taken()

    def done(self) -> None:
        """The output that was taken last has been read."""
        if self._trail is not None:
            self._trail.end()

    async def idle(self) -> None:
        """Wait until there may be something to take, or everything is over."""
        await self._gateway.idle(None if self._at_once is None else self._arrived)

    def _taken(self) -> Output | None:
        taken = self._gateway.take()
        if taken is None:
            return None
        node_id, message = taken
        if self._trail is not None:
            self._trail.begin(message)
        self._counters.outputs += 1
        return Output.of(node_id, message, self._counters.latency.arrived(message.entered_ns))

    def _arrived(self) -> bool:
        """Hand over what has come; whether nothing is left for who waits.

        To wake him takes as long again.
        """
        if self._refused is not None or self._fault is not None or self._life.failure is not None:
            return False
        try:
            return self._handed_over()
        except BaseException as exc:  # noqa: BLE001  # the lane's or the reader's, who raises it
            self._fault = exc
            return False

    def _handed_over(self) -> bool:
        for _ in range(AT_ONCE):
            output = self._taken()
            if output is None:
                return not self._gateway.drained
            if not self._at_once(output):  # type: ignore[misc]  # else nobody calls this
                self._refused = output
                return False
            self.done()
        return False
