"""Bytes that are no message: the client's fault, which gRPC would report as the service's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from penstock.errors import InputError
from penstock.service.status import Context, leaving

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a deserializer gives for bytes that are no ``wanted``."""

    wanted: str

    def __str__(self) -> str:
        return f"the bytes that came are no {self.wanted}"


def parsing(wanted: type[Message]) -> Callable[[bytes], Message | Malformed]:
    """A deserializer that never raises."""

    def parse(data: bytes) -> Message | Malformed:
        try:
            return wanted.FromString(data)
        except DecodeError:
            return Malformed(wanted.DESCRIPTOR.full_name)

    return parse


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
