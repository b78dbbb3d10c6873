"""Results that have come and nobody has taken yet: bounded, in order, for one reader."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterator
from typing import TypeAlias

from penstock.errors import SessionError
from penstock.session import Output
from penstock.wire.buffers import decode
from penstock.wire.parted import Parted
from penstock.wire.v1 import streaming_pb2 as pb

Result: TypeAlias = Parted[pb.ChunkResult]
"""A result; a large payload of its one output lies beside it."""
Reader: TypeAlias = "weakref.ref[AsyncGenerator[Output, None]]"
Own: TypeAlias = list[Reader]
"""A reader's own name, which it can have only once it is there."""


class Results:
    """A queue of at most ``bound`` results between the one who receives and who takes them.

    While it is ``hurried`` nothing waits for room: something behind the results is awaited.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: deque[Result] = deque()
        self._ended = False
        self._hurries = 0
        self._changed = asyncio.Condition()

    async def put(self, result: Result) -> None:
        """Wait for room, and put a result in."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < self._bound or self._hurries)
            self._waiting.append(result)
            self._changed.notify_all()

    async def take(self) -> Result | None:
        """The next; None at the end, as often as it is asked for."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            result = self._waiting.popleft()
            self._changed.notify_all()
            return result

    async def hurry(self, *, on: bool) -> None:
        """Let results in beyond the bound from now on, or no more."""
        async with self._changed:
            self._hurries += 1 if on else -1
            self._changed.notify_all()

    async def drop_of(self, sinks: Collection[str]) -> None:
        """Forget what has come from these sinks."""
        async with self._changed:
            kept = [one for one in self._waiting if not set(one.message.data_outputs) <= set(sinks)]
            self._waiting = deque(kept)
            self._changed.notify_all()

    async def end(self, *, forget: bool) -> None:
        """Nothing more comes; what is there may be forgotten, where nobody wants it."""
        async with self._changed:
            self._ended = True
            if forget:
                self._waiting.clear()
            self._changed.notify_all()


class Seat:
    """Of the one who reads. Who was dropped unfinished leaves it at once, though closed later."""

    def __init__(self) -> None:
        self._reader: Reader | None = None

    @property
    def is_taken(self) -> bool:
        return self._reader is not None and self._reader() is not None

    @contextlib.contextmanager
    def taken(self, reader: Reader) -> Iterator[None]:
        """Raises ``SessionError`` where somebody else reads."""
        if self.is_taken:
            raise SessionError("a stream's outputs have one reader at a time")
        self._reader = reader
        try:
            yield
        finally:
            if self._reader is reader:
                self._reader = None


def outputs_of(result: Result) -> list[Output]:
    """What a result brings; raises ``InvalidValueError`` for what is no value."""
    message = result.message
    return [
        Output(
            node_id=node_id,
            value=decode(buffer, f"outputs of {node_id!r}", result.payload),
            sequence=message.sequence,
            part=message.part,
            timestamp_us=message.timestamp_us,
            latency_s=message.processing_time_ms / 1e3 or None,
        )
        for node_id, buffer in message.data_outputs.items()
    ]
