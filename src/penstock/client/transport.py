"""The channels to a service, and gRPC's errors as Penstock's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc

from penstock.client.options import ClientOptions
from penstock.errors import ServiceError, SessionClosedError, SessionError

_ARGUMENTS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # else two channels would be one connection
)
_NEVER_MS = 2**31 - 1
TIDY_S = 60.0
"""How often connections beyond the first are looked at: those without a call are closed."""
_NO_CONNECTION = "failed to connect"
_CLOSED = "the service may want TLS, or a certificate of its clients"
_MEANINGS = {
    "Socket closed": _CLOSED,
    "Connection reset": _CLOSED,
    "WRONG_VERSION_NUMBER": "the service may not speak TLS",
    "CERTIFICATE_VERIFY_FAILED": "the service's certificate is not trusted",
    "create security handshaker": "the authorities, or the certificate and its key, may be no PEM",
}
"""By what gRPC says of a connection that was closed before it began to be one of gRPC's."""
_TIME_IS_OVER = "Deadline Exceeded"


class Connections:
    """The connections of a client to ``HOST:PORT`` or ``unix:PATH``: the first with its first call.

    Where each has as many calls as it may, there is another one: gRPC would keep a call waiting
    for another's end. The first with room has the next call, so that those beyond it come to rest,
    and are closed within two minutes.
    """

    def __init__(self, target: str, options: ClientOptions) -> None:
        self._target = target
        self._options = options
        self._calls: dict[grpc.aio.Channel, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tidying: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def call(self, begin: Callable[[grpc.aio.Channel], Any]) -> Any:
        """The call that ``begin`` makes, on a channel that has room for it.

        Raises ``SessionClosedError`` once they are closed, and ``SessionError`` on another event
        loop than that of the first.
        """
        if self._is_closed:
            raise SessionClosedError("the client is closed")
        loop = asyncio.get_running_loop()
        if loop is not (self._loop or loop):
            raise SessionError("the client belongs to another event loop: make one for each")
        self._loop = loop
        most = self._options.calls_per_connection
        roomy = (channel for channel, count in self._calls.items() if count < most)
        channel = next(roomy, None) or _open_channel(self._target, self._options)
        self._calls.setdefault(channel, 0)  # to be closed, even if no call begins
        self._tidy_later(loop)
        call = begin(channel)
        self._calls[channel] += 1
        call.add_done_callback(partial(self._ended, channel))
        return call

    async def close(self) -> None:
        """Give up all of them, and every call that still uses one, for good."""
        self._is_closed = True
        if self._tidying is not None:
            self._tidying.cancel()
        channels, self._calls = self._calls, {}
        for channel in channels:
            await channel.close()
        await asyncio.gather(*self._closing)

    def _tidy_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._tidying is None and len(self._calls) > 1:
            self._tidying = loop.call_later(TIDY_S, self._tidy, loop)

    def _tidy(self, loop: asyncio.AbstractEventLoop) -> None:
        _, *more = self._calls.items()
        for channel in [channel for channel, count in more if not count]:
            del self._calls[channel]
            closing = loop.create_task(channel.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._tidying = None
        self._tidy_later(loop)

    def _ended(self, channel: grpc.aio.Channel, _call: object) -> None:
        if channel in self._calls:
            self._calls[channel] -= 1


def _open_channel(target: str, options: ClientOptions) -> grpc.aio.Channel:
    arguments = [*_ARGUMENTS]
    if options.keepalive_s is not None:
        arguments.append(("grpc.keepalive_time_ms", _milliseconds(options.keepalive_s)))
    tls, compression = options.tls, options.grpc_compression
    if tls is None:
        return grpc.aio.insecure_channel(target, options=arguments, compression=compression)
    credentials = grpc.ssl_channel_credentials(tls.authorities, tls.key, tls.certificate)
    return grpc.aio.secure_channel(target, credentials, arguments, compression)


def _milliseconds(seconds: float) -> int:
    """For gRPC, in whole numbers: the largest, which is 25 days, stands for never."""
    return max(1, round(min(seconds * 1e3, _NEVER_MS)))


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise ``ServiceError`` for a call that ended otherwise than by a message.

    ``error_type`` is then the name of gRPC's status, such as ``UNAVAILABLE``; ``CANCELLED`` where
    it was given up on this side, by somebody else than who cancels the task that waits for it.
    """
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        raise ServiceError(_said(exc), error_type=exc.code().name) from exc
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ServiceError("the call was given up", error_type="CANCELLED") from exc


def _said(error: grpc.aio.AioRpcError) -> str:
    """What gRPC says, with what is behind it where it says little of that."""
    said = error.details() or error.code().name
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and _TIME_IS_OVER in said:
        return f"{_TIME_IS_OVER}: the call was not done within its timeout_s"
    if said.startswith(_NO_CONNECTION):
        for sign, meaning in _MEANINGS.items():
            if sign in said:
                return f"{said} ({meaning})"
    return said
