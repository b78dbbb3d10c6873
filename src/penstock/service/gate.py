"""Lets in who may call; everybody else is refused before a byte of the request is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from penstock.manifest import ServiceSettings
from penstock.service.callers import BEARER, Caller, TokenFile
from penstock.service.refusal import Refusal, Refusals
from penstock.service.status import Context, Ending
from penstock.service.turns import TOO_MANY, Behaviour, Turns
from penstock.wire.methods import HEALTH

_HEADER = "authorization"
_SCHEME = "bearer "
_KINDS = ("stream_unary", "stream_stream")
"""What handlers there are: all requests are streams."""
_NO_TOKEN = Refusal(
    Ending(grpc.StatusCode.UNAUTHENTICATED, "expected metadata 'authorization: Bearer …'"),
    "TOKEN_REQUIRED",
)
_UNKNOWN = Refusal(
    Ending(grpc.StatusCode.UNAUTHENTICATED, "the token is not known"), "TOKEN_UNKNOWN"
)


class Gate(grpc.aio.ServerInterceptor):
    """Asks every call of every service for a token of the file, where there is one.

    Who is let in has its turns, by its token, and so has who is refused, by its address: it waits
    for its turn to be told, and counts meanwhile.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._tokens = None if settings.tokens is None else TokenFile(settings.tokens)
        self._open = f"/{HEALTH}/" if settings.open_health else None
        self._refusals = Refusals()
        self._turns = Turns(settings.connections, self._refusals)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of the call, or one that ends it with what is wrong."""
        BEARER.set(None)
        if self._tokens is not None:
            wrong = self._check(self._tokens, details)
            if wrong is not None:
                refusing = self._refusing(wrong, details.method)
                return grpc.stream_stream_rpc_method_handler(
                    self._turns.in_turn(refusing, details.method)
                )
        handler = await continuation(details)
        if handler is None:
            return None
        kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
        behaviour = self._turns.in_turn(getattr(handler, kind), details.method)
        return handler._replace(**{kind: behaviour})

    def refuse(self, call: Context) -> None:
        """End a call that is one too many, whoever makes it: nobody is asked."""
        self._refusals.end(TOO_MANY, call)

    def _refusing(self, refusal: Refusal, method: str) -> Behaviour:
        async def refuse(_requests: Any, context: Context) -> NoReturn:
            await self._refusals.tell(refusal, method, context)

        return refuse

    def _check(self, tokens: TokenFile, details: grpc.HandlerCallDetails) -> Refusal | None:
        """Note who calls; what is wrong with the call otherwise.

        What is open needs no token, but one that is shown says who calls there, too.
        """
        is_open = self._open is not None and details.method.startswith(self._open)
        shown = [value for key, value in details.invocation_metadata or () if key == _HEADER]
        if is_open and not shown:
            return None
        if len(shown) != 1 or not str(shown[0]).lower().startswith(_SCHEME):
            return _NO_TOKEN
        known = tokens.current().bearer(str(shown[0])[len(_SCHEME) :].strip())
        if known is None:
            return _UNKNOWN
        name, rights = known
        method = details.method.rpartition("/")[2]
        if not (is_open or rights.may_call(method)):
            message = f"token {name} may not call {method}"
            ending = Ending(grpc.StatusCode.PERMISSION_DENIED, message)
            return Refusal(ending, "METHOD_NOT_ALLOWED")
        BEARER.set(Caller(f"token {name}", rights))
        return None
