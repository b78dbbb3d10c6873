"""A stream through the pass-through pipeline, held with Penstock's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.rpc.execution import PASS_THROUGH, value
from penstock.client import Client, Stream


class Conversation:
    """Sends one value again and again, and gets it back."""

    def __init__(self, stream: Stream, nbytes: int) -> None:
        self._stream = stream
        self._value = value(nbytes)
        self._outputs = stream.outputs()

    async def send(self) -> None:
        await self._stream.send("echo", self._value)

    async def receive(self) -> None:
        await anext(self._outputs)


@asynccontextmanager
async def conversation(address: str, nbytes: int) -> AsyncIterator[Conversation]:
    """Open a session of the service for as long as it is needed."""
    async with Client(address) as client, client.stream(PASS_THROUGH) as stream:
        yield Conversation(stream, nbytes)
