"""What listens for a service: a gRPC server, and another in its place where one is broken.

gRPC's server for asyncio closes its port for good when a client calls a method whose name is no
UTF-8. The calls that it has go on, so a service that listens anew has lost none.
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

_RETRY_S = 0.02
"""How soon a port is tried again that a broken server has not let go yet."""
_LOOP = "_server_main_loop"
"""gRPC's name for what takes calls; nothing public says that it has ended."""
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
        self._watching = asyncio.create_task(self._watch(taking), name="listener")
        return self._address.text

    async def stop(self, grace_s: float) -> None:
        """Take no call any more, and end those that are left after ``grace_s`` seconds."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))

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
        return next(task for task in started if _LOOP in getattr(task.get_coro(), "__name__", ""))

    async def _watch(self, taking: asyncio.Task[None]) -> None:
        while True:
            await asyncio.wait([taking])
            _log.warning("a client called a method whose name is no text: listening anew")
            taking = await self._replaced()

    async def _replaced(self) -> asyncio.Task[None]:
        """The task of another server in the place of one that is broken."""
        path = self._address.socket_path
        server = self._make()
        while True:
            if path is None or not path.exists():  # a broken one removes it as it ends
                with contextlib.suppress(RuntimeError):
                    self._bind(server)
                    return await self._started(server)
            await asyncio.sleep(_RETRY_S)
