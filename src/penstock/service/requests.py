"""What clients ask, and what is no request at all: their fault, and no failure of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from penstock.errors import InputError, ResourceLimitError, SessionCancelledError
from penstock.service.call_log import CallLog
from penstock.service.rpc import UnreadableError
from penstock.service.status import (
    Context,
    Ending,
    EndingError,
    abort,
    abort_invalid,
    client_left,
)
from penstock.wire.parsing import Malformed

Answer = TypeVar("Answer")
HEAR_OUT_S = 1.0
"""How long a client that was told of the end may take to stop writing."""


class TooLongRequestError(EndingError, ResourceLimitError):
    """A message of more bytes than any may have (``wished`` is one more); nothing else is read."""

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__("max_message_bytes", wished=limit + 1, free=limit, limit=limit)
        self.args = (message,)
        self.ending = Ending(grpc.StatusCode.RESOURCE_EXHAUSTED, message)


class NoRequestError(EndingError, InputError):
    """What came is no message of gRPC, and nothing behind it can be read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.ending = Ending(grpc.StatusCode.INVALID_ARGUMENT, message)


def one_request(
    behaviour: Callable[[Any, Context], Awaitable[Answer]],
    read: Callable[[Context], Awaitable[Any]],
) -> Callable[[Any, Context], Awaitable[Answer]]:
    """A method with one request, as one with a stream of which it reads the first.

    A call ends with ``INVALID_ARGUMENT`` where that is malformed or missing, and with
    ``RESOURCE_EXHAUSTED`` where it is too long.
    """

    async def called(_requests: Any, context: Context) -> Answer:
        try:
            request = await read(context)
        except TooLongRequestError as exc:
            CallLog(context.method.rpartition("/")[2], context.peer()).failed(exc)
            await abort(context, exc.ending)
        except InputError as exc:
            await abort_invalid(context, str(exc))
        if request is grpc.aio.EOF:
            await abort_invalid(context, "expected a request, got none")
        return await behaviour(request, context)

    return called


async def read_request(context: Context) -> Any:
    """The next of a stream's requests, as its deserializer gives them, or ``grpc.aio.EOF``.

    Raises ``InputError`` for a malformed one, ``TooLongRequestError`` and ``NoRequestError`` where
    nothing more can be read, ``SessionCancelledError`` where the call has ended.
    """
    try:
        request = await context.read()
    except UnreadableError as exc:
        if exc.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise TooLongRequestError(str(exc), limit=exc.most) from exc
        raise NoRequestError(str(exc)) from exc
    except grpc.aio.BaseError as exc:
        raise client_left() from exc
    if isinstance(request, Malformed):
        raise InputError(str(request))
    return request


def heeding_leave(
    behaviour: Callable[[Any, Context], Awaitable[Answer]],
) -> Callable[[Any, Context], Awaitable[Answer]]:
    """A method that ends as one cancelled where its client has left."""

    async def called(requests: Any, context: Context) -> Answer:
        try:
            return await behaviour(requests, context)
        except SessionCancelledError as exc:
            raise asyncio.CancelledError from exc

    return called
