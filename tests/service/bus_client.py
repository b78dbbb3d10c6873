"""The other side of ``Attach``, by messages alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from wire_client import CLOSE, WireClient, chunk, init, pipeline, rest

from penstock.wire.v1 import control_pb2 as pb

NODES = str(Path(__file__).parent.parent / "session" / "bus_nodes.py")
MIXED = ("PassThrough", "EchoNode", "PassThrough")
"""Nodes in the session's process, and one in a process of its own between them."""
IN, OUT = pb.CONTROL_DIRECTION_IN, pb.CONTROL_DIRECTION_OUT
PASS = pb.InterceptDecision(**{"pass": pb.Empty()})
HOUR_MS = 3_600_000


class Attached:
    """One attachment that has every frame acknowledged, and keeps the events that come between."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.events: list[pb.ControlEvent] = []
        self._frames = 0

    async def read(self) -> Any:
        return await self.call.read()

    async def event(self, kind: str) -> Any:
        """The first event of a kind that has not been looked at."""
        for found in self.events:
            if found.WhichOneof("event") == kind:
                self.events.remove(found)
                return getattr(found, kind)
        while True:
            found = await self.read()
            assert found is not grpc.aio.EOF, f"it ended before any {kind}"
            if found.WhichOneof("event") == kind:
                return getattr(found, kind)
            self.events.append(found)

    async def send(self, **op: Any) -> int:
        self._frames += 1
        await self.call.write(pb.ControlFrame(**op))
        return self._frames

    async def do(self, **op: Any) -> pb.Acknowledged:
        """Send a frame and wait until it has taken effect."""
        number = await self.send(**op)
        said: pb.Acknowledged
        while (said := await self.event("acknowledged")).frame != number:
            continue
        return said

    async def refused(self, **op: Any) -> pb.ErrorEvent:
        """Send a frame that is refused, and what is said about it."""
        number = await self.send(**op)
        error: pb.ErrorEvent = await self.event("error")
        assert error.frame == number
        assert error.error.message == error.message
        return error

    async def tapped(self) -> str:
        return str((await self.event("tap")).data.text.text_data.decode())


class Streaming:
    """A stream that is open, and the ID of its session."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.session_id = ""

    async def begin(self, *types: str, **config: Any) -> None:
        await self.call.write(init(pipeline(*types, **config)))
        while (response := await self.call.read()).WhichOneof("response") != "ready":
            continue
        self.session_id = response.ready.session_id

    async def said(self, *words: str) -> list[str]:
        """What comes out for each of some texts."""
        for word in words:
            await self.call.write(chunk(word))
        return [await self.heard() for _ in words]

    async def heard(self) -> str:
        while (response := await self.call.read()).WhichOneof("response") != "result":
            assert response.WhichOneof("response") in ("metrics", "interrupted"), response
        [buffer] = response.result.data_outputs.values()
        return str(buffer.text.text_data.decode())

    async def settled(self) -> None:
        """Until a node has taken all that was sent; nothing comes out of that."""
        while True:
            response = await self.call.read()
            assert response.WhichOneof("response") == "metrics", response
            if response.metrics.chunks_processed and not response.metrics.buffer_items:
                return

    async def close(self) -> list[Any]:
        await self.call.write(CLOSE)
        return await rest(self.call)


def at(node_id: str, direction: int = OUT, port: str = "") -> pb.ControlAddress:
    return pb.ControlAddress(node_id=node_id, direction=direction, port=port)


def hello(session_id: str, **fields: Any) -> pb.ControlFrame:
    return pb.ControlFrame(hello=pb.Hello(session_id=session_id, attach_id="me", **fields))


@asynccontextmanager
async def attached(wire: WireClient, session_id: str) -> AsyncIterator[Attached]:
    call = wire.attach()
    await call.write(hello(session_id, acknowledge=True))
    one = Attached(call)
    said = await one.event("attached")
    assert (said.session_id, said.attach_id) == (session_id, "me")
    yield one
    call.cancel()
