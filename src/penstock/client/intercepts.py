"""Outputs of a node of a service's session that are decided about here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, Self

from penstock.client.values import Sendable, as_value
from penstock.wire import control_frames as wire
from penstock.wire.buffers import decode
from penstock.wire.v1 import control_pb2 as pb


class Ask(Protocol):
    """Has a frame take effect, and says what came of it."""

    async def __call__(self, frame: pb.ControlFrame, node_id: str) -> pb.Acknowledged: ...


class InterceptRequest:
    """An output of ``node_id`` that waits for ``let_pass``, ``replace`` or ``drop``.

    The first of them counts, within the deadline; each says whether it did, once the service
    has heard of it. ``number`` is unique in the session.
    """

    def __init__(self, node_id: str, said: pb.InterceptRequest, ask: Ask) -> None:
        self.node_id = node_id
        self.number = said.correlation_id
        self.value = decode(said.data, f"an output of {node_id!r}")
        self.sequence = said.sequence
        self.part = said.part
        self.timestamp_us = said.timestamp_us
        self._ask = ask

    async def let_pass(self) -> bool:
        """The output goes on as it is."""
        return await self._decide(wire.let_pass(self.number))

    async def replace(self, value: Sendable) -> bool:
        """Another value goes on in its place, with its numbers and its time.

        Raises ``InvalidValueError`` for one that the node could not have given.
        """
        return await self._decide(wire.replace(self.number, as_value(value, self.node_id)))

    async def drop(self) -> bool:
        """Nothing goes on."""
        return await self._decide(wire.drop(self.number))

    async def _decide(self, frame: pb.ControlFrame) -> bool:
        return not (await self._ask(frame, self.node_id)).late


class Intercept:
    """A node's outputs, one at a time, for one reader: iterate over it.

    Each waits for its verdict until ``deadline_s`` has passed, and then passes. So does what waits
    when the intercept is closed. It ends with the session, or when another one of the attachment
    takes its place, and raises what the attachment breaks by.
    """

    def __init__(
        self,
        node_id: str,
        deadline_s: float,
        ask: Ask,
        let_go: Callable[[Intercept], Awaitable[None]],
    ) -> None:
        self.node_id = node_id
        self.deadline_s = deadline_s
        self._ask = ask
        self._let_go = let_go
        self._unread: pb.InterceptRequest | None = None
        self._void_at = 0.0
        self._over = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()

    async def aclose(self) -> None:
        """Decide nothing more; doing it twice is harmless."""
        self.end(None)
        self._failure = None
        await self._let_go(self)

    def note(self, said: pb.InterceptRequest) -> None:
        """Something waits for a verdict; whatever did before does so no more."""
        if not self._over:
            self._unread = said
            self._void_at = asyncio.get_running_loop().time() + self.deadline_s
            self._news.set()

    def end(self, failure: Exception | None) -> None:
        """Nothing more is asked."""
        if not self._over:
            self._over, self._failure = True, failure
            self._unread = None
            self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> InterceptRequest:
        while (said := self._take()) is None:
            if self._over:
                raise self._failure or StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return InterceptRequest(self.node_id, said, self._ask)

    def _take(self) -> pb.InterceptRequest | None:
        """What waits for a verdict and has not been read, if its time isn't over for sure."""
        said, self._unread = self._unread, None
        is_void = asyncio.get_running_loop().time() >= self._void_at
        return None if is_void else said
