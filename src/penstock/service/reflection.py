"""Tells clients of the methods and messages that are served, as the standard has it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from penstock.errors import InputError
from penstock.service.opening import SMALL_BYTES, Openings, Reading
from penstock.service.requests import heeding_leave
from penstock.service.status import Context, EndingError, abort, abort_invalid, client_left
from penstock.wire.parsing import parsing
from penstock.wire.v1.pool import POOL

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Two names for the same messages: clients try the first, and older ones know the second."""


def reflection_handlers(
    served: Iterable[str], openings: Openings
) -> Iterator[grpc.GenericRpcHandler]:
    """Handlers that tell of the services ``served``.

    A call keeps its turn among ``openings``: each of its requests may be half-sent.
    """
    # its type stubs take what it gives for one response
    standard: Any = reflection.aio.ReflectionServicer(tuple(served), pool=POOL)

    async def inform(_requests: Any, context: Context) -> None:
        try:
            async with openings.turn(context) as turn:
                requests = _requests_of(context, turn)
                async for response in standard.ServerReflectionInfo(requests, context):
                    await _write(context, response)
        except InputError as exc:
            await abort_invalid(context, str(exc))
        except EndingError as exc:
            await abort(context, exc.ending)

    handler = grpc.stream_stream_rpc_method_handler(
        heeding_leave(inform),
        request_deserializer=parsing(ServerReflectionRequest, largest=SMALL_BYTES),
        response_serializer=ServerReflectionResponse.SerializeToString,
    )
    for name in SERVICES:
        yield grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})


async def _write(context: Context, response: Any) -> None:
    try:
        await context.write(response)
    except grpc.aio.BaseError as exc:
        raise client_left() from exc


async def _requests_of(context: Context, turn: Reading) -> AsyncIterator[Any]:
    while (request := await turn.read(context)) is not grpc.aio.EOF:
        yield request
