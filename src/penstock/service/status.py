"""The gRPC status codes that calls end with, where no message of the protocol can say it.

What is wrong with a pipeline or its inputs goes into an ``ErrorResponse`` and a status of OK.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc

from penstock.errors import PenstockError

Context = grpc.aio.ServicerContext[Any, Any]


class ServiceStoppingError(PenstockError):
    """The service ends, and this call with it."""


class ClientLeftError(PenstockError):
    """The call is over for its client: nobody reads what would be written."""


_STATUS: dict[type[Exception], tuple[grpc.StatusCode, str]] = {
    ServiceStoppingError: (grpc.StatusCode.UNAVAILABLE, "the service is stopping"),
}
_UNFORESEEN = (grpc.StatusCode.INTERNAL, "the service failed; its log says how")


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """Raise ``ClientLeftError`` where gRPC can't read or write because the call has ended."""
    try:
        yield
    except grpc.aio.BaseError as exc:
        raise ClientLeftError("client disconnected") from exc


async def abort(context: Context, error: Exception) -> NoReturn:
    """End the call with the status for ``error``, which tells nothing of the service's inside."""
    code, details = _STATUS.get(type(error), _UNFORESEEN)
    await context.abort(code, details)
