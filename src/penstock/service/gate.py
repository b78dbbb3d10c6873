"""Lets in who may call; everybody else is refused before a byte of the request is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from penstock.manifest import ServiceSettings
from penstock.service.callers import BEARER, Caller, TokenFile, caller_of
from penstock.service.status import Context, Ending, abort
from penstock.wire.methods import HEALTH
from penstock.wire.refusals import refusal_details

_HEADER = "authorization"
_SCHEME = "bearer "
_KINDS = ("stream_unary", "stream_stream")
"""What handlers there are: to gRPC, all requests are streams."""
_RETRY_S = 1.0
Behaviour = Callable[[Any, Context], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What a call ends with that isn't let in; ``reason`` is for programs."""

    ending: Ending
    reason: str
    retry_s: float | None = None

    async def tell(self, _requests: Any, context: Context) -> None:
        """A handler's behaviour: it never asks for a request."""
        ending = self.ending
        details = refusal_details(ending.number, ending.message, self.reason, self.retry_s)
        context.set_trailing_metadata(details)
        await abort(context, ending)


_NO_TOKEN = _Refusal(
    Ending(grpc.StatusCode.UNAUTHENTICATED, "expected metadata 'authorization: Bearer …'"),
    "TOKEN_REQUIRED",
)
_UNKNOWN = _Refusal(
    Ending(grpc.StatusCode.UNAUTHENTICATED, "the token is not known"), "TOKEN_UNKNOWN"
)


class Gate(grpc.aio.ServerInterceptor):
    """Asks every call of every service for a token of the file, where there is one.

    No caller has more than ``max_calls_per_peer`` calls at a time.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._tokens = None if settings.tokens is None else TokenFile(settings.tokens)
        self._open = f"/{HEALTH}/" if settings.open_health else None
        self._most = settings.connections.max_calls_per_peer
        self._calls: Counter[str] = Counter()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of the call, or one that ends it with what is wrong."""
        BEARER.set(None)
        if self._tokens is not None and not (self._open and details.method.startswith(self._open)):
            wrong = self._check(self._tokens, details)
            if wrong is not None:
                return grpc.stream_stream_rpc_method_handler(wrong.tell)
        handler = await continuation(details)
        if handler is None:
            return None
        kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
        return handler._replace(**{kind: self._counted(getattr(handler, kind))})

    def _check(self, tokens: TokenFile, details: grpc.HandlerCallDetails) -> _Refusal | None:
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
            ending = Ending(grpc.StatusCode.PERMISSION_DENIED, message)
            return _Refusal(ending, "METHOD_NOT_ALLOWED")
        BEARER.set(Caller(f"token {name}", rights))
        return None

    def _counted(self, behaviour: Behaviour) -> Behaviour:
        async def call(requests: Any, context: Context) -> Any:
            name = caller_of(context).name
            if self._calls[name] >= self._most:
                await self._too_many().tell(requests, context)
            self._calls[name] += 1
            try:
                return await behaviour(requests, context)
            finally:
                self._calls[name] -= 1
                if not self._calls[name]:
                    del self._calls[name]

        return call

    def _too_many(self) -> _Refusal:
        message = f"{self._most} calls of this caller go on (max_calls_per_peer)"
        ending = Ending(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        return _Refusal(ending, "TOO_MANY_CALLS", _RETRY_S)
