"""Keeps an observer from doing the service harm, and tells it of every call."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from contextvars import copy_context
from typing import Any, TypeVar

import grpc

from penstock.planning import NodeExecutionPlan
from penstock.service.rpc import Call
from penstock.session import NodeSpans, Session, SessionMetrics
from penstock.session.observing import CallWatch, Metadata, Observer, ServiceView

OTHER = "other"
"""Stands for a method that there is not: its name is the client's to choose."""
_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Nobody:
    """The ``Observer`` of a service that nobody watches."""

    def watching(self, view: ServiceView) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def call_began(self, method: str, metadata: Metadata) -> CallWatch:
        return _UNWATCHED

    def spans_of(
        self, session_id: str, plan: NodeExecutionPlan
    ) -> Callable[[NodeSpans], None] | None:
        return None

    def session_ended(self, session: Session, metrics: SessionMetrics) -> None:
        """Nobody wants to know."""

    def session_refused(self, session_id: str) -> None:
        """Nobody wants to know."""


class _Unwatched:
    def ended(self, code: str) -> None:
        """Nobody wants to know."""


_UNWATCHED: CallWatch = _Unwatched()
NOBODY = Nobody()


class Harmless:
    """An ``Observer`` around another: what that raises is logged, and changes nothing."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def watching(self, view: ServiceView) -> AbstractAsyncContextManager[None]:
        return self._observer.watching(view)

    def call_began(self, method: str, metadata: Metadata) -> CallWatch:
        observed = _tried(lambda: self._observer.call_began(method, metadata), _UNWATCHED)
        return _HarmlessCall(observed)

    def spans_of(
        self, session_id: str, plan: NodeExecutionPlan
    ) -> Callable[[NodeSpans], None] | None:
        return _tried(lambda: self._observer.spans_of(session_id, plan), None)

    def session_ended(self, session: Session, metrics: SessionMetrics) -> None:
        _tried(lambda: self._observer.session_ended(session, metrics), None)

    def session_refused(self, session_id: str) -> None:
        _tried(lambda: self._observer.session_refused(session_id), None)


class _HarmlessCall:
    def __init__(self, watch: CallWatch) -> None:
        self._watch = watch

    def ended(self, code: str) -> None:
        _tried(lambda: self._watch.ended(code), None)


class CallObserving(grpc.aio.ServerInterceptor):
    """Tells ``observer`` of every call; of those to unknown ``methods`` as of one other."""

    def __init__(self, observer: Observer, methods: Iterable[str]) -> None:
        self._observer = observer
        self._methods = frozenset(methods)
        self._open = 0
        self._all_ended = asyncio.Event()
        self._all_ended.set()

    async def all_ended(self, limit_s: float) -> None:
        """Wait until everything has been told, within reason: the calls may be over before that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._all_ended.wait()

    def refused(self, call: Call) -> None:
        """A call has ended that nobody has served, and that has no task to be told of it in."""
        method, metadata = self._named(call.method), call.invocation_metadata()
        watch = copy_context().run(self._observer.call_began, method, metadata)
        watch.ended(_code(call, None))

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        method = self._named(details.method)
        metadata = tuple(details.invocation_metadata or ())
        handler = await continuation(details)
        if handler is None:
            self._observer.call_began(method, metadata).ended(grpc.StatusCode.UNIMPLEMENTED.name)
            return None
        kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
        behaviour = self._observed(getattr(handler, kind), method, metadata)
        return handler._replace(**{kind: behaviour})

    def _named(self, method: str) -> str:
        return method if method in self._methods else OTHER

    def _observed(self, behaviour: Callable[..., Any], method: str, metadata: Metadata) -> Any:
        async def call(request: Any, context: Any) -> Any:
            with self._watched(method, metadata, context):
                return await behaviour(request, context)

        async def each(request: Any, context: Any) -> AsyncIterator[Any]:
            with self._watched(method, metadata, context):
                async for response in behaviour(request, context):
                    yield response

        return each if inspect.isasyncgenfunction(behaviour) else call

    @contextmanager
    def _watched(self, method: str, metadata: Metadata, context: Any) -> Iterator[None]:
        watch = self._observer.call_began(method, metadata)
        self._open += 1
        self._all_ended.clear()
        error: BaseException | None = None
        try:
            yield
        except BaseException as exc:
            error = exc
            raise
        finally:
            watch.ended(_code(context, error))
            self._open -= 1
            if not self._open:
                self._all_ended.set()


def _code(context: Any, error: BaseException | None) -> str:
    """What the call ends with, as far as that is known on this side."""
    said = context.code()
    if said is not None:
        return str(getattr(said, "name", said))
    if error is None:
        return grpc.StatusCode.OK.name
    if not isinstance(error, asyncio.CancelledError | GeneratorExit):
        return grpc.StatusCode.UNKNOWN.name
    left_s = context.time_remaining()
    late = left_s is not None and left_s <= 0
    return (grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED).name


def _tried(work: Callable[[], _Answer], otherwise: _Answer) -> _Answer:
    try:
        return work()
    except Exception:  # noqa: BLE001  # whatever it is, it is not the service's
        _log.exception("an observer failed; the service goes on")
        return otherwise
