"""Interrupts of a stream by its client, and their way past what the service has yet to read of it.

Knows nothing of the stream itself: how one is written, or goes beside it, is handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from penstock.client.attachment import Attachment
from penstock.errors import PenstockError
from penstock.session import Interruption

HELD_UP_S = 0.02
"""How long an answer may take before the stream is taken to be held up."""


def _future() -> asyncio.Future[Interruption]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Asked:
    """An interrupt that somebody waits for.

    ``place`` is its number among the stream's messages, from its turn to be written on; until then
    0. ``is_sent`` says that the service may have heard of it, ``is_given_up`` that nobody waits any
    more.
    """

    node_id: str | None
    place: int = 0
    is_sent: bool = False
    is_given_up: bool = False
    answer: asyncio.Future[Interruption] = field(default_factory=_future)


class Interrupts:
    """Those that are awaited.

    ``write`` writes one on the stream, and gives it its place when it is its turn. ``overtake`` has
    one heeded beside the stream, behind so many messages; False where that can't be, or the service
    had read them. ``sent`` counts the messages so far.
    """

    def __init__(
        self,
        write: Callable[[Asked], Coroutine[Any, Any, None]],
        overtake: Callable[[str | None, int], Coroutine[Any, Any, bool]],
        sent: Callable[[], int],
    ) -> None:
        self._write = write
        self._overtake = overtake
        self._sent = sent
        self._awaited: list[Asked] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ask(self, node_id: str | None) -> Interruption | None:
        """Interrupt, and wait until it has come about; None where the stream has ended.

        Raises what writing does. One that is given up may come about all the same, if the service
        may have heard of it.
        """
        asked = Asked(node_id)
        self._awaited.append(asked)
        try:
            patience_s = HELD_UP_S
            while not await self._is_on_its_way(asked, patience_s):
                patience_s *= 2
            await asyncio.wait([asked.answer])
        finally:
            asked.is_given_up = True
            self._forget_unsent(asked)
        return None if asked.answer.cancelled() else asked.answer.result()

    def note(self, said: Interruption) -> None:
        """One of ours, or of another client's, has come about: whoever waits for that has it."""
        those = [one for one in self._awaited if one.is_sent and one.node_id == said.node_id]
        asked = next((one for one in those if not one.answer.done()), next(iter(those), None))
        if asked is not None:
            self._awaited.remove(asked)
            if not asked.answer.done():
                asked.answer.set_result(said)

    def end(self) -> None:
        """Nothing more comes about."""
        for asked in self._awaited:
            asked.answer.cancel()

    async def aclose(self) -> None:
        """Give up what is still being written, or tried."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _is_on_its_way(self, asked: Asked, patience_s: float) -> bool:
        """Write it; where the stream is held up, past what it is behind with. False: once more."""
        writing = self._begin(self._write(asked))
        try:
            await _within(patience_s, writing, asked.answer)
        finally:
            if not asked.place:  # it waits for its turn
                writing.cancel()
        if asked.answer.done():
            return True
        overtaking = self._begin(self._send_beside(asked, asked.place or self._sent()))
        await asyncio.wait([overtaking, asked.answer], return_when=asyncio.FIRST_COMPLETED)
        if overtaking.done() and not overtaking.cancelled():
            overtaking.result()
        return asked.is_sent or asked.answer.done()

    async def _send_beside(self, asked: Asked, place: int) -> None:
        """Until this is done the service may have heard of it, whoever waits for that or not."""
        asked.is_sent = True
        asked.is_sent = await self._overtake(asked.node_id, place) or bool(asked.place)
        if asked.is_given_up:
            self._forget_unsent(asked)

    def _forget_unsent(self, asked: Asked) -> None:
        """One that the service never hears of takes no answer from another."""
        if not asked.is_sent and asked in self._awaited:
            self._awaited.remove(asked)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        """What it failed with ends the stream, and that is told to who waits for an answer."""
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()


async def _within(limit_s: float, writing: asyncio.Task[Any], answer: asyncio.Future[Any]) -> None:
    """Wait for both, for a while; raises what writing does."""
    done, _ = await asyncio.wait(
        [writing, answer], timeout=limit_s, return_when=asyncio.FIRST_EXCEPTION
    )
    if writing in done:
        writing.result()


class Beside:
    """An attachment to a stream's own session, opened when the stream is held up at first."""

    def __init__(self, attach: Callable[[], Attachment]) -> None:
        self._attach = attach
        self._opening = asyncio.Lock()
        self._attachment: Attachment | None = None
        self._is_refused = False

    async def overtake(self, node_id: str | None, place: int) -> bool:
        """Have an interrupt heeded that has that place in the stream.

        False where the service has read up to there, or doesn't take it in this way.
        """
        try:
            attachment = await self._opened()
            return attachment is not None and await attachment.overtake(node_id, place)
        except PenstockError:
            return False

    async def aclose(self) -> None:
        """Leave it, where it was opened."""
        if self._attachment is not None:
            await self._attachment.__aexit__()

    async def _opened(self) -> Attachment | None:
        async with self._opening:
            if self._attachment is None and not self._is_refused:
                attachment = self._attach()
                try:
                    self._attachment = await attachment.__aenter__()
                except PenstockError:
                    self._is_refused = True
            return self._attachment
