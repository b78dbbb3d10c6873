"""The standard health service: whether the service, and each of its sessions, may be used."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

import grpc

from penstock.service.callers import Caller, caller_of
from penstock.service.status import MOST_NAME, Context, Ending, abort, abort_invalid
from penstock.wire.v1 import health_pb2 as pb

Status = pb.HealthCheckResponse.ServingStatus
SESSION = "penstock.session/"
"""What the name of a session begins with; its ID follows."""
NOBODYS = SESSION
"""Nothing ever has this name."""
_KEPT = 16
"""Changes that wait for a slow watcher; of more the last ones are told."""


class HealthBoard:
    """What is known of each name, and who wants to hear of it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._serving = dict.fromkeys(names, False)
        self._watches: dict[str, set[_Watch]] = {}
        self._closed = False

    def set(self, name: str, *, serving: bool) -> None:
        """Say whether what has that name may be used."""
        if self._serving.get(name) is not serving:
            self._serving[name] = serving
            self._tell(name)

    def forget(self, name: str) -> None:
        """Nothing has that name any more; doing it twice is harmless."""
        if self._serving.pop(name, None) is not None:
            self._tell(name)

    def status(self, name: str) -> Status:
        """``SERVICE_UNKNOWN`` for what isn't there."""
        serving = self._serving.get(name)
        if serving is None:
            return Status.SERVICE_UNKNOWN
        return Status.SERVING if serving else Status.NOT_SERVING

    async def watch(self, name: str) -> AsyncIterator[Status]:
        """The status now, and each that follows, until the board is closed."""
        watch = _Watch(self.status(name))
        watches = self._watches.setdefault(name, set())
        watches.add(watch)
        try:
            while True:
                while watch.news:
                    yield watch.news.popleft()
                if self._closed:
                    return
                await watch.changed.wait()
                watch.changed.clear()
        finally:
            watches.discard(watch)
            if not watches:
                self._watches.pop(name, None)

    def close(self) -> None:
        """Have every watch end: the service does."""
        self._closed = True
        for watches in self._watches.values():
            for watch in watches:
                watch.changed.set()

    def _tell(self, name: str) -> None:
        for watch in self._watches.get(name, ()):
            watch.news.append(self.status(name))
            watch.changed.set()


class _Watch:
    """What one watcher has not been told yet."""

    def __init__(self, first: Status) -> None:
        self.news: deque[Status] = deque([first], maxlen=_KEPT)
        self.changed = asyncio.Event()


async def _name(request: pb.HealthCheckRequest, context: Context) -> str:
    """What is asked for, as long as a name may be: who watches has it kept."""
    name: str = request.service
    if len(name) > MOST_NAME:
        await abort_invalid(context, f"service: at most {MOST_NAME} characters, got {len(name)}")
    return name


class HealthServicer:
    """Answers ``Check`` and ``Watch``."""

    def __init__(self, board: HealthBoard, may_see: Callable[[Caller, str], bool]) -> None:
        self._board = board
        self._may_see = may_see

    async def check(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        """The status of a name; ``NOT_FOUND`` for one that isn't there, as the standard says."""
        name = await _name(request, context)
        status = self._board.status(name if self._is_shown(name, context) else NOBODYS)
        if status == Status.SERVICE_UNKNOWN:
            said = f"nothing is called {name!r}"
            await abort(context, Ending(grpc.StatusCode.NOT_FOUND, said))
        return pb.HealthCheckResponse(status=status)

    async def watch(self, request: pb.HealthCheckRequest, context: Context) -> None:
        """Every change, to a client that stays."""
        try:
            name = await _name(request, context)
            name = name if self._is_shown(name, context) else NOBODYS
            async for status in self._board.watch(name):
                await context.write(pb.HealthCheckResponse(status=status))
        except grpc.aio.BaseError:
            return  # it has gone

    def _is_shown(self, name: str, context: Context) -> bool:
        """A session of somebody else looks as if it were not there."""
        session_id = name.removeprefix(SESSION)
        return session_id == name or self._may_see(caller_of(context), session_id)
