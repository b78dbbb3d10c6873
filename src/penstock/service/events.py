"""What goes back to who is attached to a session, one event at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from penstock.errors import InputError, SessionCancelledError
from penstock.service.status import Context, client_left
from penstock.session import Intercept, Interruption, Tap
from penstock.wire import control as wire
from penstock.wire.parted import Parted
from penstock.wire.v1 import control_pb2 as pb

INTERRUPTS_KEPT = 1024
"""Interrupts that wait for a slow client; what is older is dropped."""
LAST_EVENTS_S = 5.0
"""How long a client may take to read what came before the end."""

_Key: TypeAlias = tuple[type, str]


class Events:
    """Writes to the call from several tasks of its own; no write is given up half way.

    There is one task for the taps of a node, and one for its intercepts, whatever the client does.
    What they have is taken when the turn to be written has come, as it is by then: for a client
    that doesn't read one event is in memory, besides what waits in its taps and for its verdicts,
    and the last interrupts and answers.
    Events of a tap or an intercept are written until it is closed. What a task finds when the
    client has left is no failure: the call ends by itself.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._interrupts: deque[Interruption] = deque(maxlen=INTERRUPTS_KEPT)
        self._telling = False
        self._lines: dict[_Key, _Line] = {}

    async def write(self, event: pb.ControlEvent) -> None:
        """Raises ``SessionCancelledError`` once the call has ended."""
        await self._write(lambda: Parted(event))

    async def _write(self, make: Callable[[], Parted[pb.ControlEvent] | None]) -> None:
        """Write what there is once its turn has come, if there is anything then."""
        async with self._writing:
            event = make()
            if event is None:
                return
            try:
                await self._context.write(event)
            except grpc.aio.BaseError as exc:
                raise client_left() from exc

    async def say(self, event: pb.ControlEvent) -> None:
        """The same for who may be cancelled: what is being written then still is."""
        writing = self.begin(self.write(event))
        await asyncio.shield(writing)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that writes, beside the others."""
        task = asyncio.create_task(_unless_left(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before it began
        return task

    def note(self, said: Interruption) -> None:
        """Tell of an interrupt."""
        self._interrupts.append(said)
        if not self._telling:
            self._telling = True
            self.begin(self._tell_interrupts())

    def show(self, addr: pb.ControlAddress, tap: Tap) -> None:
        """Tell what a tap shows; what a former one of that node showed is told no more."""
        self._follow(_Line(addr, tap, lambda: wire.tapped(addr, tap.take())))

    def ask(self, addr: pb.ControlAddress, intercept: Intercept) -> None:
        """Tell what an intercept asks; what a former one of that node asked is told no more."""

        def asked() -> Parted[pb.ControlEvent]:
            request = intercept.take()
            try:
                return wire.asked(addr, request)
            except InputError:  # a value that has no place in the protocol
                request.let_pass()
                raise

        self._follow(_Line(addr, intercept, asked))

    def _follow(self, line: _Line) -> None:
        is_followed = line.key in self._lines
        self._lines[line.key] = line
        if not is_followed:
            self.begin(self._forward(line.key))

    async def _forward(self, key: _Key) -> None:
        """Events of a line, and of those that take its place, to the end of the last."""
        while True:
            line = self._lines[key]
            if await line.source.ready():
                try:
                    await self._write(line.event)
                except InputError as exc:
                    await self.refuse(exc, line.addr)
            elif self._lines[key] is line:
                del self._lines[key]
                return

    async def refuse(self, error: InputError, addr: pb.ControlAddress | None) -> None:
        await self.write(wire.refused(error, addr))

    async def finish(self) -> None:
        """Wait for the last events, within reason."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_EVENTS_S)

    async def abandon(self) -> None:
        """The call ends: whatever still is to be written is for nobody."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell_interrupts(self) -> None:
        while self._interrupts:
            await self._write(lambda: Parted(wire.interrupted(self._interrupts.popleft())))
        self._telling = False


@dataclass(frozen=True, slots=True)
class _Line:
    """What is told of a node: what a tap of it shows, or what an intercept asks."""

    addr: pb.ControlAddress
    source: Tap | Intercept
    make: Callable[[], Parted[pb.ControlEvent]]

    @property
    def key(self) -> _Key:
        return type(self.source), self.source.node_id

    def event(self) -> Parted[pb.ControlEvent] | None:
        """Take the next, if there is one now; raises ``InputError`` where it can't be told."""
        return self.make() if self.source.waiting else None


async def _unless_left(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except SessionCancelledError:
        return
