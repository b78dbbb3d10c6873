"""One call of ``Attach``: its two tasks, and what it ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from penstock.client.duplex import DuplexCall
from penstock.client.frames import Frames
from penstock.client.transport import translated
from penstock.errors import ServiceError, SessionClosedError, SessionError
from penstock.wire.control_frames import decode_end
from penstock.wire.v1 import control_pb2 as pb

LEAVE_S = 1.0
"""How long the service may take to let go of what is left, before the call is given up."""


class ControlCall:
    """Reads without ever waiting for anybody, and writes one frame at a time.

    ``take`` gets each event but the answers; ``ended`` is told once that no more come, with what
    broke the call: None where its session has ended, or it was left.
    """

    def __init__(
        self,
        take: Callable[[pb.ControlEvent], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self.frames = Frames()
        self.attached: pb.Attached | None = None
        self.over = asyncio.Event()
        self._take = take
        self._ended = ended
        self._call: Any = None
        self._answered = asyncio.Event()
        self._left = False
        self._failure: Exception | None = None
        self._end: Exception | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def open(self, method: Callable[[], DuplexCall], hello: pb.ControlFrame) -> pb.Attached:
        """Begin the call, greet, and wait for the answer; raises the call's failure."""
        if self._call is not None:
            raise SessionError("an attachment is opened once")
        self._call = method()
        receiving = asyncio.create_task(self._receive(), name="penstock attachment")
        writing = asyncio.create_task(self._write(hello), name="penstock frames")
        self._tasks = (receiving, writing)
        try:
            await self._answered.wait()
            return self._checked()
        except BaseException:
            await self._give_up()
            raise

    def _checked(self) -> pb.Attached:
        """What the service said, if it can be relied on."""
        if self.attached is None:
            raise self._end or SessionClosedError("the service ended the call without a word")
        if not self.attached.acknowledges:
            said = "the service doesn't answer frames: it is another one, or too old"
            raise ServiceError(said, error_type="UNIMPLEMENTED")
        return self.attached

    def check(self) -> None:
        """Raises what there is to say where nothing can be asked any more, or not yet."""
        if self._left:
            raise SessionClosedError("the attachment has been closed")
        if self._end is not None:
            raise self._end
        if self.attached is None:
            raise SessionError("the attachment has not been opened")

    async def ask(self, frame: pb.ControlFrame, node_id: str) -> pb.Acknowledged:
        """Have a frame take effect; raises what it is refused by, or what ended the call."""
        self.check()
        return await self.frames.ask(frame, node_id)

    async def until_over(self) -> None:
        """Wait for the end; raises what broke the call."""
        await self.over.wait()
        if self._failure is not None:
            raise self._failure

    async def leave(self) -> None:
        """Say that it is over, and wait until the service has let go of everything."""
        if self._left:
            return
        self._left = True
        self.frames.finish()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=LEAVE_S)
        finally:
            await self._give_up()

    async def _give_up(self) -> None:
        self._left = True
        if self._tasks:
            self._call.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def _write(self, hello: pb.ControlFrame) -> None:
        """The one task that writes; what ends the call is told by the one that reads."""
        try:
            with translated():
                await self._call.write(hello)
                while (frame := await self.frames.take()) is not None:
                    await self._call.write(frame)
                await self._call.done_writing()
        except (asyncio.InvalidStateError, ServiceError):
            return

    async def _receive(self) -> None:
        try:
            with translated():
                while (event := await self._call.read()) is not grpc.aio.EOF:
                    self._dispatch(event)
        except ServiceError as exc:
            self._break(exc)
            self._call.cancel()
        except asyncio.CancelledError:
            self._break(SessionClosedError("the attachment was given up"))
            if not self._left:
                raise
        except Exception as exc:  # noqa: BLE001  # a callback's: who reads or asks hears of it
            self._break(exc)
            self._call.cancel()
        finally:
            self._finish(SessionClosedError("the attachment has ended"))

    def _dispatch(self, event: pb.ControlEvent) -> None:
        match event.WhichOneof("event"):
            case "attached":
                self.attached = event.attached
                self._answered.set()
            case "session_closed":
                self._take(event)
                self._finish(decode_end(event.session_closed))
            case _:
                self._take(event)

    def _break(self, error: Exception) -> None:
        if not self._left and self._end is None:
            self._failure = error

    def _finish(self, end: Exception) -> None:
        """Nothing more can be asked; the first end counts."""
        if self._end is None:
            self._end = self._failure or end
            self.frames.end(self._end)
            self._ended(self._failure)
            self.over.set()
            self._answered.set()
