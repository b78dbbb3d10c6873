"""The limits that a client sets for one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from penstock.errors import ResourceLimitError
from penstock.service.entry import InputLimits
from penstock.session import Session
from penstock.wire.v1 import common_pb2 as pb

Done = TypeVar("Done")


class TimeOverError(ResourceLimitError):
    """A call's own time is over: its client is told at once, and its session ends behind it."""

    def __init__(self, *, taken_ms: int, limit_ms: int) -> None:
        super().__init__("max_timeout_ms", wished=taken_ms, free=limit_ms, limit=limit_ms)
        self.args = (f"max_timeout_ms: {taken_ms} ms have passed, and {limit_ms} were allowed",)


class CallLimits(InputLimits):
    """``ResourceLimits`` of a call, which begins; ``memory_bytes`` is None where it is not set."""

    def __init__(self, message: pb.ResourceLimits) -> None:
        super().__init__(message.max_audio_samples)
        self.memory_bytes = message.max_memory_bytes or None
        self._max_timeout_ms = message.max_timeout_ms
        self._started = time.monotonic()

    @property
    def left_s(self) -> float | None:
        """How long the call may still take; None where it has no limit."""
        if not self._max_timeout_ms:
            return None
        return max(self._started + self._max_timeout_ms / 1e3 - time.monotonic(), 0.0)

    async def bound(self, session: Session, work: Coroutine[Any, Any, Done]) -> Done:
        """Do something with a session while there is time for it.

        Raises ``TimeOverError`` when that is over, which the session fails with. The work has been
        cancelled then, and may end as late as the session.
        """
        doing = asyncio.create_task(work)
        try:
            await asyncio.wait([doing], timeout=self.left_s)
        except asyncio.CancelledError:
            doing.cancel()
            await asyncio.wait([doing])
            raise
        if not doing.done():
            error = self.timed_out()
            session.fail_nowait(error)
            doing.cancel()
            raise error
        return doing.result()

    def timed_out(self) -> TimeOverError:
        """What ends a call that took longer than it may."""
        taken = round((time.monotonic() - self._started) * 1e3)
        return TimeOverError(taken_ms=taken, limit_ms=self._max_timeout_ms)
