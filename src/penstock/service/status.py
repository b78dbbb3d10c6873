"""The gRPC status codes that calls end with, where no message of the protocol can say it.

What is wrong with a pipeline or its inputs goes into an ``ErrorResponse`` and a status of OK.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import grpc

from penstock.errors import PenstockError, SessionCancelledError
from penstock.service.rpc import Call

Context: TypeAlias = Call


@dataclass(frozen=True, slots=True)
class Ending:
    """What a call ends with: a status code, and the message beside it."""

    code: grpc.StatusCode
    message: str

    @property
    def number(self) -> int:
        """The code as it is on the wire."""
        number: int = self.code.value[0]
        return number


class EndingError(PenstockError):
    """A failure that its call ends with another status than OK for: ``ending`` says which."""

    ending: Ending


MOST_SAID = 2048
"""Characters of a status message: it may repeat what its client said."""
MOST_NAME = 256
"""Characters of what a client calls something that is kept for it, and logged."""
FINE = Ending(grpc.StatusCode.OK, "")
"""Whatever there is to say has been said in a message."""
STOPPING = Ending(grpc.StatusCode.UNAVAILABLE, "the service is stopping")
UNFORESEEN = Ending(grpc.StatusCode.INTERNAL, "the service failed; its log says how")


def client_left() -> SessionCancelledError:
    """What to raise from ``grpc.aio.BaseError``, where nothing can be read or written any more."""
    return SessionCancelledError(SessionCancelledError.CLIENT_LEFT)


async def abort(context: Context, ending: Ending) -> NoReturn:
    """End a call with another status than OK; trailing metadata that was set stays.

    Raises ``SessionCancelledError`` where nobody is there any more to be told.
    """
    try:
        await context.abort(ending.code, ending.message[:MOST_SAID])
    except grpc.aio.AbortError:
        raise
    except grpc.aio.BaseError as exc:
        raise client_left() from exc


async def abort_invalid(context: Context, message: str) -> NoReturn:
    """End a call that asks for what can't be asked."""
    await abort(context, Ending(grpc.StatusCode.INVALID_ARGUMENT, message))


async def abort_stopping(context: Context) -> NoReturn:
    """End a call that the end of the service has cut short, or that comes after it."""
    await abort(context, STOPPING)


async def abort_unforeseen(context: Context) -> NoReturn:
    """End a call that the service failed itself, and tell nothing of its inside."""
    await abort(context, UNFORESEEN)
