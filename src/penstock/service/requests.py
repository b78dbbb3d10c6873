"""What clients ask, and what is no request at all: their fault, and no failure of the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from penstock.errors import InputError
from penstock.service.status import Context, leaving
from penstock.wire.parsing import Malformed

Answer = TypeVar("Answer")


def refusing(
    behaviour: Callable[[Any, Context], Awaitable[Answer]],
) -> Callable[[Any, Context], Awaitable[Answer]]:
    """Have a method with one request end with ``INVALID_ARGUMENT`` for one that is malformed."""

    async def checked(request: Any, context: Context) -> Answer:
        if isinstance(request, Malformed):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(request))
        return await behaviour(request, context)

    return checked


async def read_request(context: Context) -> Any:
    """The next of a stream's requests, or ``grpc.aio.EOF``.

    Raises ``InputError`` for a malformed one, ``SessionCancelledError`` where the call has ended.
    """
    with leaving():
        request = await context.read()
    if isinstance(request, Malformed):
        raise InputError(str(request))
    return request
