"""A service's calls as OpenTelemetry traces: a span for each call, its chunks, and their nodes.

Nodes know nothing of OpenTelemetry: they tell when they began and ended with what, by a clock that
all processes share. Whether a call is traced is decided here, when it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

from penstock import __version__
from penstock.data import CLIENT
from penstock.errors import MissingExtraError, SessionError
from penstock.manifest import TraceSettings
from penstock.planning import NodeExecutionPlan
from penstock.session import NodeSpans
from penstock.session.observing import Metadata, ServiceView
from penstock.telemetry.chunks import Chunk, ChunkBook, Step

try:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as exc:
    missing = exc.name or "opentelemetry"
    raise MissingExtraError("[telemetry.traces]", missing, extra="otel") from exc

if TYPE_CHECKING:
    from opentelemetry.context import Context

TICK_S = 1.0
"""How often traced sessions are asked for their spans."""
QUIET_NS = 10_000_000_000
"""A chunk that nothing was heard of for so long is complete."""
MOST_CHUNKS_PER_S = 200
"""Chunks that are traced, in all sessions: making spans of one takes the service's own time."""
MOST_QUEUED = 8192
"""Spans that wait to be exported."""
CLOSE_S = 2.0
"""How long the last spans may take to be exported when the service ends."""
_UNTRACED = ("/grpc.health.", "/grpc.reflection.", "other")
_FAILURES = {
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
    "UNKNOWN",
}
"""Codes that are a server's failure, by OpenTelemetry's conventions."""
_log = logging.getLogger(__name__)
_current: ContextVar[Span | None] = ContextVar("penstock_call", default=None)


class Tracing:
    """Makes spans of what it is told; ``made`` and ``exported`` count them, ``lost`` by where."""

    def __init__(self, settings: TraceSettings, exporter: SpanExporter | None = None) -> None:
        """Without an ``exporter`` spans go to an OTLP collector, as ``OTEL_…`` and settings say."""
        self.exported = self.made = 0
        self.lost: Counter[str] = Counter()
        self._exporter = _Counted(self, exporter or OTLPSpanExporter(endpoint=settings.endpoint))
        ratio = settings.sample_ratio
        self._provider = TracerProvider(
            sampler=None if ratio is None else ParentBasedTraceIdRatio(ratio),
            resource=Resource.create({"service.name": "penstock", "service.version": __version__}),
        )
        self._processor = _Processor(self, self._exporter)
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("penstock", __version__)
        self._sessions: dict[str, _TracedSession] = {}
        self._second = self._chunks = 0

    @contextlib.asynccontextmanager
    async def of(self, view: ServiceView) -> AsyncIterator[None]:
        """Gather spans from a service for the length of the block."""
        gathering = asyncio.create_task(self._gather(view), name="span gathering")
        try:
            yield
        finally:
            gathering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gathering
            await self._close()

    def call_began(self, method: str, metadata: Metadata) -> Callable[[str], None] | None:
        """Have a span of this call, and of its task; gives what ends it with a status code.

        None for a call that has none.
        """
        if method.startswith(_UNTRACED):
            return None
        carrier = {key: value for key, value in metadata if isinstance(value, str)}
        span = self._tracer.start_span(
            method.removeprefix("/"),
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system.name": "grpc", "rpc.method": method.removeprefix("/")},
        )
        _current.set(span)
        return partial(_end_call, span)

    def spans_of(
        self, session_id: str, plan: NodeExecutionPlan
    ) -> Callable[[NodeSpans], None] | None:
        """Who makes spans of a session's, where the call of this task is traced."""
        span = _current.get()
        if span is None or not span.is_recording():
            return None
        span.set_attribute("penstock.session.id", session_id)
        traced = _TracedSession(self, session_id, plan, set_span_in_context(span))
        self._sessions[session_id] = traced
        return traced.told

    def session_ended(self, session_id: str) -> None:
        traced = self._sessions.pop(session_id, None)
        if traced is not None:
            traced.end()

    def admit(self) -> bool:
        """Whether another chunk may be traced in this second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._chunks = second, 0
        self._chunks += 1
        return self._chunks <= MOST_CHUNKS_PER_S

    def start(
        self, name: str, context: Context, started_ns: int, attributes: dict[str, str | int | float]
    ) -> Span:
        return self._tracer.start_span(
            name, context=context, start_time=started_ns, attributes=attributes
        )

    async def _gather(self, view: ServiceView) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                for session in [one for one in view.sessions if one.session_id in self._sessions]:
                    with contextlib.suppress(SessionError):  # it has never begun
                        await session.totals()
                for traced in list(self._sessions.values()):
                    traced.emit_quiet()
            except Exception:  # noqa: BLE001  # whatever it is, the next tick may do better
                _log.exception("spans could not be gathered")

    async def _close(self) -> None:
        """Export what is left; a collector that doesn't take it is left alone."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop did not wait for it
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut_down, name="penstock-traces", daemon=True).start()
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await done.wait()
                return
            self._exporter.shutdown()  # breaks off what is on its way
        _log.warning("the last spans could not be exported within %g s", CLOSE_S)


def _end_call(span: Span, code: str) -> None:
    span.set_attribute("rpc.response.status_code", code)
    if code in _FAILURES:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


class _TracedSession:
    """The spans of one session, below that of its call."""

    def __init__(
        self, tracing: Tracing, session_id: str, plan: NodeExecutionPlan, context: Context
    ) -> None:
        self._tracing = tracing
        self._session_id = session_id
        self._plan = plan
        self._context = context
        now_ns = time.perf_counter_ns()
        self._wall_ns = time.time_ns() - now_ns
        self._book = ChunkBook(now_ns, tracing.admit, tracing.lost)

    def told(self, told: NodeSpans) -> None:
        for chunk in self._book.add(told, time.perf_counter_ns()):
            self._emit(chunk)

    def emit_quiet(self) -> None:
        for chunk in self._book.quiet(time.perf_counter_ns() - QUIET_NS):
            self._emit(chunk)

    def end(self) -> None:
        for chunk in self._book.rest():
            self._emit(chunk)

    def _emit(self, chunk: Chunk) -> None:
        attributes: dict[str, str | int | float] = {
            "penstock.session.id": self._session_id,
            "penstock.sequence": chunk.sequence,
        }
        span = self._tracing.start(
            "chunk", self._context, self._wall_ns + chunk.started_ns, _fitting(attributes)
        )
        context = set_span_in_context(span)
        for step in chunk.steps():
            self._emit_step(step, context)
        span.end(self._wall_ns + chunk.ended_ns)

    def _emit_step(self, step: Step, context: Context) -> None:
        name, attributes = self._described(step)
        if step.waited_ns is not None:
            attributes["penstock.lane.waited_ms"] = step.waited_ns / 1e6
        started_ns = self._wall_ns + step.span.started_ns
        span = self._tracing.start(name, context, started_ns, _fitting(attributes))
        span.end(self._wall_ns + step.span.ended_ns)

    def _described(self, step: Step) -> tuple[str, dict[str, str | int | float]]:
        """A span's name and attributes: of a node, or of what the front door did itself."""
        span = step.span
        attributes: dict[str, str | int | float] = {
            "penstock.sequence": span.sequence,
            "penstock.part": span.part,
            "penstock.origin": span.origin.removeprefix("@"),
            "process.pid": step.pid,
        }
        if step.node_id == CLIENT:
            return "inlet" if span.origin == CLIENT else "outlet", attributes
        node = self._plan.node(step.node_id)
        return node.node_type, attributes | {
            "penstock.node.id": node.node_id,
            "penstock.node.type": node.node_type,
            "penstock.node.executor": str(node.executor),
        }


def _fitting(attributes: dict[str, str | int | float]) -> dict[str, str | int | float]:
    """OTLP has signed integers of 64 bits; a client's numbers may be larger."""
    return {
        key: str(value) if isinstance(value, int) and value >= 1 << 63 else value
        for key, value in attributes.items()
    }


class _Processor(BatchSpanProcessor):
    """Queues no more than fit, and counts what doesn't."""

    def __init__(self, tracing: Tracing, exporter: SpanExporter) -> None:
        super().__init__(exporter, max_queue_size=MOST_QUEUED)
        self._tracing = tracing

    def on_end(self, span: ReadableSpan) -> None:
        tracing = self._tracing
        tracing.made += 1
        gone = tracing.exported + tracing.lost["exporter"] + tracing.lost["queue"]
        if tracing.made - gone > MOST_QUEUED:
            tracing.lost["queue"] += 1
        else:
            super().on_end(span)


class _Counted(SpanExporter):
    """An exporter that counts, and whose errors are its own."""

    def __init__(self, tracing: Tracing, exporter: SpanExporter) -> None:
        self._tracing = tracing
        self._exporter = exporter
        self._is_shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self._tracing.exported += len(spans)
            else:
                self._tracing.lost["exporter"] += len(spans)
        return result

    def shutdown(self) -> None:
        """Twice, where the first time waits for a collector that doesn't answer."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._exporter.shutdown()
