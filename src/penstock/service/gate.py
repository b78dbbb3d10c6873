"""Lets in who has a token; everybody else is refused before a byte of the request is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from penstock.manifest import ServiceSettings
from penstock.service.callers import BEARER, Caller, TokenFile
from penstock.service.status import Context, Ending, abort
from penstock.wire.methods import HEALTH

_HEADER = "authorization"
_SCHEME = "bearer "
_NO_TOKEN = Ending(grpc.StatusCode.UNAUTHENTICATED, "expected metadata 'authorization: Bearer …'")
_UNKNOWN = Ending(grpc.StatusCode.UNAUTHENTICATED, "the token is not known")


class Gate(grpc.aio.ServerInterceptor):
    """Asks every call of every service for a token of the file, where there is one."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._tokens = None if settings.tokens is None else TokenFile(settings.tokens)
        self._open = f"/{HEALTH}/" if settings.open_health else None

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of the call, or one that ends it with what is wrong."""
        BEARER.set(None)
        if self._tokens is None or (self._open and details.method.startswith(self._open)):
            return await continuation(details)
        wrong = self._admit(self._tokens, details)
        return await continuation(details) if wrong is None else _refusal(wrong)

    def _admit(self, tokens: TokenFile, details: grpc.HandlerCallDetails) -> Ending | None:
        """Note who calls; what is wrong with the call otherwise."""
        shown = [value for key, value in details.invocation_metadata or () if key == _HEADER]
        if len(shown) != 1 or not str(shown[0]).lower().startswith(_SCHEME):
            return _NO_TOKEN
        known = tokens.current().bearer(str(shown[0])[len(_SCHEME) :].strip())
        if known is None:
            return _UNKNOWN
        name, rights = known
        method = details.method.rpartition("/")[2]
        if not rights.may_call(method):
            message = f"token {name} may not call {method}"
            return Ending(grpc.StatusCode.PERMISSION_DENIED, message)
        BEARER.set(Caller(f"token {name}", rights))
        return None


def _refusal(ending: Ending) -> grpc.RpcMethodHandler[Any, Any]:
    """Ends a call of any kind; a stream's requests are read when they are asked for, so never."""

    async def refuse(_requests: Any, context: Context) -> None:
        await abort(context, ending)

    return grpc.stream_stream_rpc_method_handler(refuse)
