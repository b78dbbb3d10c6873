"""The other side of ``Attach``, by messages alone."""

from __future__ import annotations

from typing import Any

import grpc

from penstock.wire.v1 import control_pb2 as pb

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
