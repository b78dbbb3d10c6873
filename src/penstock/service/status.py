"""The gRPC status codes that calls end with, where no message of the protocol can say it.

What is wrong with a pipeline or its inputs goes into an ``ErrorResponse`` and a status of OK.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc

from penstock.errors import SessionCancelledError

Context = grpc.aio.ServicerContext[Any, Any]


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """Raise ``SessionCancelledError`` where gRPC can't read or write: the call has ended."""
    try:
        yield
    except grpc.aio.BaseError as exc:
        raise SessionCancelledError("client disconnected") from exc


async def abort_stopping(context: Context) -> NoReturn:
    """End a call that the end of the service has cut short, or that comes after it."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, "the service is stopping")


async def abort_unforeseen(context: Context) -> NoReturn:
    """End a call that the service failed itself, and tell nothing of its inside."""
    await context.abort(grpc.StatusCode.INTERNAL, "the service failed; its log says how")
