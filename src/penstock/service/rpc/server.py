"""What answers calls: finds their handlers, runs them, and ends with them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any

import grpc

from penstock.manifest import ConnectionSettings
from penstock.service.rpc.call import Call, CallOverError, UnreadableError
from penstock.service.rpc.connection import Connection
from penstock.service.rpc.turnstile import Turnstile

_log = logging.getLogger(__name__)
_ACCEPTED_AT_ONCE = 8
"""So many connections are taken in a turn of the loop: one takes as long as a few chunks."""
_SHUTDOWN_S = 1.0
"""How long the other end may take to say that it has heard of the end of TLS."""
_PAUSE_S = 0.1
"""How long nobody is taken where no descriptor is left for one."""
_UNFORESEEN = "the service failed; its log says how"
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class Server:
    """Serves the calls of all its connections by ``handlers``, each through all ``interceptors``.

    ``make_room`` is called before new connections are taken, and may abort others; ``refuse`` ends
    a call beyond ``max_calls``, at once.
    """

    def __init__(
        self,
        handlers: Iterable[grpc.GenericRpcHandler],
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        *,
        connections: ConnectionSettings,
        most_bytes: int,
        compression: str,
        make_room: Callable[[Collection[Connection]], None],
        refuse: Callable[[Call], None],
    ) -> None:
        self.connections = connections
        self.most_bytes = most_bytes
        self.compression = compression
        self._handshake_s = connections.handshake_timeout_secs
        self._handlers = tuple(handlers)
        self._find: Continuation = self._look_up
        for interceptor in reversed(interceptors):
            self._find = _intercepted(self._find, interceptor)
        self._make_room = make_room
        self._refuse = refuse
        self._open: dict[Connection, None] = {}
        self._listeners: list[socket.socket] = []
        self._joining: set[asyncio.Task[Any]] = set()
        self._calls: dict[asyncio.Task[None], Call] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._loop = asyncio.get_running_loop()
        self.turnstile = Turnstile(self._loop)

    def listen(
        self, sockets: Iterable[socket.socket], tls: Callable[[], ssl.SSLContext] | None
    ) -> None:
        """Take connections from sockets that listen; ``tls`` is asked for each."""
        for listener in sockets:
            listener.setblocking(False)
            self._listeners.append(listener)
            self._loop.add_reader(listener, self._accept, listener, tls)

    async def stop(self, grace_s: float) -> None:
        """Take no call any more, and end those that are left after ``grace_s`` seconds."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        for connection in list(self._open):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        for call in list(self._calls.values()):
            call.fail(grpc.StatusCode.UNAVAILABLE, "the service is stopping")
        await self._idle.wait()
        for connection in list(self._open):
            connection.abort()
        await self._empty.wait()

    # What connections tell.

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.pop(connection, None)
        if not self._open:
            self._empty.set()

    def serve(self, call: Call) -> None:
        """A call has come."""
        if len(self._calls) >= self.connections.max_calls:
            self._refuse(call)
            return
        call.serving = task = self._loop.create_task(self._serve(call), name=call.method[:100])
        self._calls[task] = call
        self._idle.clear()
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        call = self._calls.pop(task)
        call.serving = None
        if not self._calls:
            self._idle.set()
        if not call.over and not call.is_ending:
            call.reset()  # it was given up by who served it

    async def _serve(self, call: Call) -> None:
        try:
            details = _Details(call.method, call.invocation_metadata())
            handler = await self._find(details)
            if handler is None:
                await call.heard()
                call.finish(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
                return
            call.decode = handler.request_deserializer
            call.encode = handler.response_serializer
            if handler.stream_unary is not None:
                await call.write(await handler.stream_unary(None, call))
            else:
                await handler.stream_stream(None, call)
            call.finish(grpc.StatusCode.OK)
        except (grpc.aio.AbortError, CallOverError):
            return
        except UnreadableError as exc:
            call.fail(exc.code, str(exc))
        except Exception:  # noqa: BLE001  # the last place that can log it and say so
            _log.exception("%s failed", call.method[:100])
            call.finish(grpc.StatusCode.INTERNAL, _UNFORESEEN)

    async def _look_up(self, details: grpc.HandlerCallDetails) -> Any:
        for handler in self._handlers:
            if (found := handler.service(details)) is not None:
                return found
        return None

    # Connections.

    def _accept(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        self._make_room(self._open)
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                taken, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:  # no descriptor is left
                _log.warning("no connection can be taken for a moment: %s", exc)
                self._loop.remove_reader(listener)
                self._loop.call_later(_PAUSE_S, self._resume, listener, tls)
                return
            if len(self._open) >= self.connections.max_connections:
                taken.close()
                continue
            connection = Connection(self, taken)
            self._open[connection] = None
            self._empty.clear()
            joining = self._loop.create_task(self._join(connection, taken, tls))
            self._joining.add(joining)
            joining.add_done_callback(self._joining.discard)

    def _resume(self, listener: socket.socket, tls: Callable[[], ssl.SSLContext] | None) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener, tls)

    async def _join(
        self,
        connection: Connection,
        taken: socket.socket,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        taken.setblocking(False)
        try:
            if taken.family != socket.AF_UNIX:  # asyncio does so where it knows that it is TCP
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(
                lambda: connection,
                taken,
                ssl=None if tls is None else tls(),
                ssl_handshake_timeout=None if tls is None else self._handshake_s,
                ssl_shutdown_timeout=None if tls is None else _SHUTDOWN_S,
            )
        except OSError as exc:  # an ssl.SSLError is one
            _log.debug("a connection has not come about: %s", exc)
            taken.close()
            self.left(connection)


class _Details(grpc.HandlerCallDetails):
    """What interceptors are told of a call."""

    def __init__(self, method: str, metadata: Any) -> None:
        self.method = method
        self.invocation_metadata = metadata


def _intercepted(find: Continuation, interceptor: grpc.aio.ServerInterceptor) -> Continuation:
    async def found(details: grpc.HandlerCallDetails) -> Any:
        return await interceptor.intercept_service(find, details)

    return found
