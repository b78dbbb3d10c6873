"""What listens for a service: a gRPC server, and another in its place where one is broken.

gRPC's server for asyncio closes its port for good when a client calls a method whose name is no
UTF-8. The calls that it has go on, so a service that listens anew has lost none; with the last of
them nothing is left of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import grpc

from penstock.service.address import (
    Address,
    cannot_be_bound,
    clear_socket_path,
    why_not_bound,
)
from penstock.service.pacing import Seldom

_RETRY_S = 0.02
"""How soon a port is tried again that a broken server has not let go yet."""
_TO_THE_LAST_CALL_S = 1e9
"""How long a broken server may end: as long as its calls take, or until the service stops."""
_LOOP = "AioServer._server_main_loop"
"""gRPC's name for what takes calls; nothing public says that it has ended."""
_STOP = "AioServer.shutdown"
"""Its name for what it begins then, which fails for the same reason, unheard by anybody."""
_log = logging.getLogger(__name__)


class Listener:
    """One server at a time at an address; those before it only end the calls that they have.

    ``make`` gives a server with its handlers, not yet bound, and ``credentials`` what a port is
    encrypted with; gRPC takes each of them once.
    """

    def __init__(
        self,
        make: Callable[[], grpc.aio.Server],
        address: Address,
        credentials: Callable[[], grpc.ServerCredentials] | None,
    ) -> None:
        self._make = make
        self._address = address
        self._credentials = credentials
        self._servers: list[grpc.aio.Server] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen; returns the address that clients use.

        Raises ``ConfigurationError`` where the address can't be bound.
        """
        if self._address.socket_path is not None:
            clear_socket_path(self._address.socket_path)
        server = self._make()
        try:
            port = self._bind(server)
        except RuntimeError as exc:
            raise cannot_be_bound(self._address, why_not_bound(self._address)) from exc
        self._address = self._address.at_port(port)
        taking = await self._started(server)
        self._watching = asyncio.create_task(self._watch(server, taking), name="listener")
        return self._address.text

    async def stop(self, grace_s: float) -> None:
        """Take no call any more, and end those that are left after ``grace_s`` seconds."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))
        await asyncio.gather(*self._ending)

    def _bind(self, server: grpc.aio.Server) -> int:
        if self._credentials is not None:
            return server.add_secure_port(self._address.text, self._credentials())
        return server.add_insecure_port(self._address.text)

    async def _started(self, server: grpc.aio.Server) -> asyncio.Task[None]:
        """The server's own task, which ends when it takes no call any more."""
        before = asyncio.all_tasks()
        await server.start()
        self._servers.append(server)
        started = asyncio.all_tasks() - before
        taking = next(task for task in started if _is(task, _LOOP))
        taking.add_done_callback(_hear_last_words)  # behind gRPC's own
        return taking

    async def _watch(self, server: grpc.aio.Server, taking: asyncio.Task[None]) -> None:
        seldom = Seldom()
        while True:
            await asyncio.wait([taking])
            if times := seldom.add():
                what = "a client called a method whose name is no text: listening anew"
                _log.warning("%s (%d times)", what, times)
            ending = asyncio.create_task(self._end(server), name="broken server")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            server, taking = await self._replaced()

    async def _end(self, server: grpc.aio.Server) -> None:
        """Let go of a broken server when its calls have ended."""
        await server.stop(_TO_THE_LAST_CALL_S)
        self._servers.remove(server)

    async def _replaced(self) -> tuple[grpc.aio.Server, asyncio.Task[None]]:
        """Another server in the place of one that is broken, with its task."""
        path = self._address.socket_path
        server = self._make()
        while True:
            if path is None or not path.exists():  # a broken one removes it as it ends
                with contextlib.suppress(RuntimeError):
                    self._bind(server)
                    return server, await self._started(server)
            await asyncio.sleep(_RETRY_S)


def _hear_last_words(taking: asyncio.Task[None]) -> None:
    """What it has ended with, and so what stops its server, is known: asyncio need not tell of it.

    gRPC has just begun to stop it, and fails before anybody else has a turn.
    """
    if taking.cancelled() or taking.exception() is None:
        return
    for task in asyncio.all_tasks():
        if _is(task, _STOP):
            task.add_done_callback(_hear)


def _hear(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _is(task: asyncio.Task[None], name: str) -> bool:
    return getattr(task.get_coro(), "__qualname__", "") == name
