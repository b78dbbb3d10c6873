"""News and results have one order, whoever writes them, and however long a write takes."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.data import Text
from penstock.service.replies import Replies
from penstock.session import Interruption, Output
from penstock.wire.parted import Parted


class Held:
    """A call whose client takes nothing before it is ``free`` to."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.written: list[str] = []

    async def write(self, response: Parted[Any]) -> None:
        await self.free.wait()
        self.written.append(response.message.WhichOneof("response"))

    def ask_anew(self) -> None:
        """It is asked how far it has read."""


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_result_is_behind_the_interrupt_before_it() -> None:
    """A client drops what has come before the news: this one is of the new turn."""
    call: Any = Held()
    replies = Replies(call)
    telling = asyncio.create_task(replies.forward_news())
    replies.interrupted(Interruption(None, None, 1, ("n0",)))
    await settled()  # the news of that waits for the client
    replies.interrupted(Interruption(None, None, 2, ("n0",)))
    giving = asyncio.create_task(replies.result(Output("n0", Text("new"), 1, 0, 0, None), 1))
    await settled()
    replies.interrupted(Interruption(None, None, 3, ("n0",)))  # that result is stale by it
    call.free.set()
    await giving
    replies.finish()
    await telling
    assert call.written == ["interrupted", "interrupted", "result", "interrupted"]
