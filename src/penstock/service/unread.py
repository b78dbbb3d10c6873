"""The end of a call whose client doesn't read: what waits for it must not keep the call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc

from penstock.errors import PenstockError
from penstock.service.replies import Replies
from penstock.service.status import Context, Ending
from penstock.wire.stream_errors import status_details


class Patience:
    """Waits for a client to read, once its session is over, ``limit_s`` seconds for each message.

    It is made by the task that serves the call. That is cancelled where the time is up: what the
    connection has of the call's messages, and then the status, come when the client reads at last.
    """

    def __init__(self, context: Context, replies: Replies, limit_s: float) -> None:
        self.lost = False
        self._context = context
        self._replies = replies
        self._limit_s = limit_s
        self._serving = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None

    def begin(
        self,
        over: Callable[[], Awaitable[object]],
        failure: Callable[[], PenstockError],
        session_id: str,
    ) -> None:
        """Watch the call from the moment on that its session is ``over``; the first time counts."""
        if self._watching is not None:
            return
        self._watching = asyncio.create_task(self._watch(over, failure, session_id))

    async def end(self) -> None:
        """The call has come to its end."""
        if self._watching is not None and not self.lost:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(
        self,
        over: Callable[[], Awaitable[object]],
        failure: Callable[[], PenstockError],
        session_id: str,
    ) -> None:
        await over()
        over_at = time.monotonic()
        while True:
            now = time.monotonic()
            since = self._replies.writing_since
            left_s = self._limit_s if since is None else max(since, over_at) + self._limit_s - now
            if left_s <= 0:
                break
            await asyncio.sleep(left_s)
        self._give_up(failure(), session_id)

    def _give_up(self, error: PenstockError, session_id: str) -> None:
        """The status waits behind the messages; nobody here waits for either."""
        message = f"the session is over, and its client read nothing for {self._limit_s:g} s"
        ending = Ending(grpc.StatusCode.DEADLINE_EXCEEDED, f"{message} (unread_secs)")
        details = status_details(error, session_id, ending.number, ending.message)
        self._context.set_trailing_metadata(details)
        self.lost = True
        self._context.finish(ending.code, ending.message)
        if self._serving is not None:
            self._serving.cancel()
