"""Telemetry as a service has it handed in: metrics, and traces where they are wished."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from penstock.manifest import TelemetrySettings
from penstock.planning import NodeExecutionPlan
from penstock.session import NodeSpans, Session, SessionMetrics
from penstock.session.observing import Metadata, ServiceView
from penstock.telemetry import families as f
from penstock.telemetry.endpoint import PATH, Endpoint, parse_bind
from penstock.telemetry.ledger import Tally
from penstock.telemetry.metrics import Metrics

if TYPE_CHECKING:  # what traces need may not be installed
    from opentelemetry.sdk.trace.export import SpanExporter

    from penstock.telemetry.traces import Tracing

_log = logging.getLogger(__name__)


def check_telemetry(settings: TelemetrySettings) -> None:
    """Raise what a ``Telemetry`` of these settings would; nothing is begun."""
    if settings.metrics_bind:
        parse_bind(settings.metrics_bind, remote=settings.metrics_remote)
    if settings.traces.enabled:
        import penstock.telemetry.traces  # noqa: F401, PLC0415  # an extra


class Telemetry:
    """An ``Observer`` that shows what ``[telemetry]`` asks for.

    ``metrics_address`` is where metrics are served, once they are.
    """

    def __init__(self, settings: TelemetrySettings, exporter: SpanExporter | None = None) -> None:
        """``exporter`` is where spans go, if not to a collector.

        Raises ``ConfigurationError`` for an address that metrics can't be served at, and
        ``MissingExtraError`` where traces are wished and OpenTelemetry isn't installed.
        """
        bind = settings.metrics_bind
        self._bind = bind and parse_bind(bind, remote=settings.metrics_remote)
        self._metrics = Metrics(self._count_spans)
        self._tracing = _tracing(settings, exporter)
        self.metrics_address: str | None = None

    @contextlib.asynccontextmanager
    async def watching(self, view: ServiceView) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._metrics.of(view))
            if self._tracing is not None:
                await stack.enter_async_context(self._tracing.of(view))
            if self._bind:
                serving = Endpoint(self._metrics.page).serving(*self._bind)
                self.metrics_address = await stack.enter_async_context(serving)
                _log.info("metrics are at http://%s%s", self.metrics_address, PATH)
            yield

    def call_began(self, method: str, metadata: Metadata) -> _Call:
        tracing = self._tracing
        end_span = None if tracing is None else tracing.call_began(method, metadata)
        return _Call(self._metrics, method, end_span)

    def spans_of(
        self, session_id: str, plan: NodeExecutionPlan
    ) -> Callable[[NodeSpans], None] | None:
        return None if self._tracing is None else self._tracing.spans_of(session_id, plan)

    def session_ended(self, session: Session, metrics: SessionMetrics) -> None:
        self._metrics.session_ended(session, metrics)
        if self._tracing is not None:
            self._tracing.session_ended(session.session_id)

    def session_refused(self, session_id: str) -> None:
        if self._tracing is not None:
            self._tracing.session_ended(session_id)

    def _count_spans(self, tally: Tally) -> None:
        if self._tracing is not None:
            tally.counters[f.SPANS, ()] = self._tracing.made
            tally.counters[f.SPANS_EXPORTED, ()] = self._tracing.exported
            for where, count in self._tracing.lost.items():
                tally.counters[f.SPANS_LOST, (where,)] = count


class _Call:
    """One call, from now on; a traced one has a span to end."""

    def __init__(
        self, metrics: Metrics, method: str, end_span: Callable[[str], None] | None
    ) -> None:
        self._metrics = metrics
        self._method = method
        self._end_span = end_span
        self._began_ns = metrics.call_began(method)

    def ended(self, code: str) -> None:
        self._metrics.call_ended(self._method, code, self._began_ns)
        if self._end_span is not None:
            self._end_span(code)


def _tracing(settings: TelemetrySettings, exporter: SpanExporter | None) -> Tracing | None:
    if not settings.traces.enabled:
        return None
    from penstock.telemetry.traces import Tracing  # noqa: PLC0415  # an extra

    return Tracing(settings.traces, exporter)
