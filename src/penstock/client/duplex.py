"""A call with messages both ways, of which the service's own status is what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc


class DuplexCall:
    """gRPC's call, with a ``write`` that never puts a status in the place of the service's.

    A service may end a call before it has heard anything, as one that wants a token does. A message
    that comes too late then fails, and gRPC's ``write`` calls that ``INTERNAL``, whatever the
    service has said (grpc/grpc#36066): so here messages are written beneath it.
    """

    def __init__(self, call: Any, serialize: Callable[[Any], bytes]) -> None:
        self._call = call
        self._serialize = serialize

    async def write(self, message: Any) -> None:
        """Wait until gRPC has taken a message; who gives that up gives up the call.

        Raises ``asyncio.InvalidStateError`` where the call has ended, or is just about to: how is
        told by ``read``. Raises ``AioRpcError`` where it never began.
        """
        await self._call.wait_for_connection()
        if self._call.done():
            raise asyncio.InvalidStateError("the call has ended")
        try:
            await self._call._cython_call.send_serialized_message(self._serialize(message))
        except grpc.aio.InternalError as exc:
            raise asyncio.InvalidStateError("the call takes no more messages") from exc
        except asyncio.CancelledError:
            self._call.cancel()  # a part of the message may have left
            raise

    async def done_writing(self) -> None:
        """No more messages from here; nothing happens where the call has ended."""
        await self._call.done_writing()

    async def read(self) -> Any:
        """The next message, or ``grpc.aio.EOF``; raises ``AioRpcError`` for a status but ``OK``."""
        return await self._call.read()

    async def trailing_metadata(self) -> Any:
        """What the service said beside the status, once there is one."""
        return await self._call.trailing_metadata()

    def cancel(self) -> None:
        """Give the call up."""
        self._call.cancel()
