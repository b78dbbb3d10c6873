"""What is said in a session, and heard of it: where it runs here, and where a service has it."""

from __future__ import annotations

from typing import Generic, TypeVar

from penstock.client import Stream
from penstock.data import Text
from penstock.session import Output, Session

Line = TypeVar("Line", Session, Stream)


class Talk(Generic[Line]):
    """A session's one reader, who sends texts to ``n0`` and hears what becomes of them."""

    def __init__(self, stream: Line) -> None:
        self.stream: Line = stream
        self.outputs = stream.outputs()

    @property
    def session_id(self) -> str:
        return self.stream.session_id

    async def say(self, *words: str) -> None:
        for word in words:
            await self.stream.send("n0", Text(word))

    async def said(self, word: str) -> str:
        await self.say(word)
        return await self.heard()

    async def heard(self) -> str:
        output = await anext(self.outputs)
        assert isinstance(output.value, Text)
        return output.value.text

    async def finish(self) -> list[Output]:
        if isinstance(self.stream, Session):
            await self.stream.end()
        else:
            await self.stream.close()
        return [output async for output in self.outputs]
