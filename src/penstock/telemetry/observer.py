"""Telemetry as a service has it handed in: metrics now, and traces where they are wished."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from penstock.manifest import TelemetrySettings
from penstock.planning import NodeExecutionPlan
from penstock.session import NodeSpans, Session, SessionMetrics
from penstock.session.observing import Metadata, ServiceView
from penstock.telemetry.endpoint import PATH, Endpoint, parse_bind
from penstock.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)


class Telemetry:
    """An ``Observer`` that shows what ``[telemetry]`` asks for.

    ``metrics_address`` is where metrics are served, once they are.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        """Raises ``ConfigurationError`` for an address that metrics can't be served at."""
        bind = settings.metrics_bind
        self._bind = bind and parse_bind(bind, remote=settings.metrics_remote)
        self._metrics = Metrics()
        self.metrics_address: str | None = None

    @contextlib.asynccontextmanager
    async def watching(self, view: ServiceView) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._metrics.of(view))
            if self._bind:
                endpoint = Endpoint(self._metrics.page)
                serving = endpoint.serving(*self._bind)
                self.metrics_address = await stack.enter_async_context(serving)
                _log.info("metrics are at http://%s%s", self.metrics_address, PATH)
            yield

    def call_began(self, method: str, metadata: Metadata) -> _Call:
        return _Call(self._metrics, method)

    def spans_of(
        self, session_id: str, plan: NodeExecutionPlan
    ) -> Callable[[NodeSpans], None] | None:
        return None

    def session_ended(self, session: Session, metrics: SessionMetrics) -> None:
        self._metrics.session_ended(session, metrics)


class _Call:
    """One call, from now on."""

    def __init__(self, metrics: Metrics, method: str) -> None:
        self._metrics = metrics
        self._method = method
        self._began_ns = metrics.call_began(method)

    def ended(self, code: str) -> None:
        self._metrics.call_ended(self._method, code, self._began_ns)
