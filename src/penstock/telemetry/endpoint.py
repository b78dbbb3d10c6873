"""Where metrics are served: one page over HTTP, to few at a time, none of whom can take long."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

from penstock.errors import ConfigurationError, Fault

PATH = "/metrics"
MOST_CONNECTIONS = 16
LARGEST_REQUEST = 8 << 10
REQUEST_S = 5.0
"""How long a client may take to say what it wants."""
ANSWER_S = 10.0
"""How long it may take to take it."""
_BIND = "telemetry.metrics_bind"
_PLAIN = "text/plain; charset=utf-8"
_log = logging.getLogger(__name__)
GetPage: TypeAlias = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Makes the page for what an ``Accept`` header says: its text, and its content type."""


def parse_bind(bind: str, *, remote: bool) -> tuple[str, int]:
    """The host and port of ``HOST:PORT``.

    Raises ``ConfigurationError`` for what is neither an IP address nor ``localhost``, and, but
    for ``remote``, for one that others can reach.
    """
    host, colon, port = bind.rpartition(":")
    if not (colon and port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise _refused(bind, "must be HOST:PORT, with a port of 0 to 65535")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        raise _refused(bind, "the host must be an IP address or localhost") from None
    if not (address.is_loopback or remote):
        raise _refused(bind, "others can reach that; telemetry.metrics_remote = true allows it")
    return str(address), int(port)


class Endpoint:
    """Serves ``get_page`` at ``PATH`` on the running event loop."""

    def __init__(self, get_page: GetPage) -> None:
        self._get_page = get_page
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[str]:
        """Listen for the length of the block, as the address that was bound.

        Raises ``ConfigurationError`` where it can't be.
        """
        try:
            server = await asyncio.start_server(self._connected, host, port, limit=LARGEST_REQUEST)
        except OSError as exc:
            reason = os.strerror(exc.errno) if exc.errno else str(exc)  # asyncio says more
            raise _refused(f"{host}:{port}", f"can't be bound: {reason}") from exc
        try:
            bound = server.sockets[0].getsockname()[1]
            yield f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            if self._connections:
                await asyncio.wait(self._connections)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._talk(reader, writer), name="metrics connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request and its answer; whoever is late, or says rubbish, loses the connection."""
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
            answer = await self._answer(head.decode("latin-1"))
            async with asyncio.timeout(ANSWER_S):
                writer.write(answer)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, asyncio.LimitOverrunError):  # a TimeoutError is an OSError
            return
        finally:
            writer.transport.abort()

    async def _answer(self, head: str) -> bytes:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path != PATH:
            return _response(HTTPStatus.NOT_FOUND, f"metrics are at {PATH}\n".encode())
        if method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"GET or HEAD\n", allow="GET, HEAD")
        try:
            text, content_type = await self._get_page(_header(lines, "accept"))
        except Exception:  # noqa: BLE001  # whatever it is, the scraper must hear of it
            _log.exception("the metrics can't be told")
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR, b"the log says why\n")
        response = _response(HTTPStatus.OK, text, content_type)
        return response if method == "GET" else response[: -len(text)]


def _header(lines: list[str], name: str) -> str:
    pairs = (line.partition(":") for line in lines)
    return ",".join(value.strip() for key, _, value in pairs if key.strip().lower() == name)


def _response(
    status: HTTPStatus, body: bytes, content_type: str = _PLAIN, allow: str | None = None
) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"Allow: {allow}"] if allow else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _refused(bind: str, why: str) -> ConfigurationError:
    return ConfigurationError([Fault(_BIND, f"{bind}: {why}", found=bind)])
