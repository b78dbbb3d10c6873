"""A chunk's whole way is one trace, through all processes, and whoever takes it can't hurt."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from wire_client import CLOSE, WireClient, calls_ended, chunk, init, kinds, pipeline, rest, text

from penstock.manifest import Settings, TelemetrySettings, TraceSettings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.telemetry import Telemetry, traces
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import health_pb2 as health

STREAM = "remotemedia.v1.StreamingPipelineService/StreamPipeline"
EXECUTE = "remotemedia.v1.PipelineExecutionService/ExecutePipeline"
TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE:032x}-{PARENT:016x}-01"
NODES = ("PassThrough", "EchoNode")


@contextlib.asynccontextmanager
async def traced(
    exporter: InMemorySpanExporter | None = None,
    settings: Settings | None = None,
    **wishes: Any,
) -> AsyncIterator[tuple[WireClient, Telemetry]]:
    traces = TelemetrySettings(traces=TraceSettings(**{"enabled": True, **wishes}))
    telemetry = Telemetry(traces, exporter)
    catalogue = Catalogue.installed().extended("penstock.testing.faults")
    serving = running(settings or Settings(), "127.0.0.1:0", catalogue, telemetry)
    async with serving as address, WireClient(address) as wire:
        yield wire, telemetry
    await calls_ended()


async def stream(
    wire: WireClient, *types: str, traceparent: str = "", chunks: int = 2
) -> list[Any]:
    metadata = (("traceparent", traceparent),) if traceparent else ()
    requests = [init(pipeline(*types)), *[chunk(f"{n}") for n in range(chunks)], CLOSE]
    return [response async for response in wire.stream(iter(requests), metadata=metadata)]


def below(spans: tuple[ReadableSpan, ...], parent: ReadableSpan) -> list[ReadableSpan]:
    children = [s for s in spans if s.parent and s.parent.span_id == parent.context.span_id]
    return sorted(children, key=lambda span: span.start_time)


async def test_each_chunk_has_its_way_below_its_call_in_the_callers_trace() -> None:
    exporter = InMemorySpanExporter()
    async with traced(exporter) as (wire, _):
        await stream(wire, *NODES, traceparent=TRACEPARENT)
    spans = exporter.get_finished_spans()
    assert {span.context.trace_id for span in spans} == {TRACE}
    [root] = [span for span in spans if span.name == STREAM]
    assert (root.parent.span_id, root.parent.is_remote) == (PARENT, True)
    assert root.kind is SpanKind.SERVER
    assert root.attributes["rpc.system.name"] == "grpc"
    assert root.attributes["rpc.response.status_code"] == "OK"
    chunks = below(spans, root)
    assert [(one.name, one.attributes["penstock.sequence"]) for one in chunks] == [
        ("chunk", 0),
        ("chunk", 1),
    ]
    for one in chunks:
        steps = below(spans, one)
        assert [step.name for step in steps] == ["inlet", "PassThrough", "EchoNode", "outlet"]
        assert one.start_time == steps[0].start_time
        assert one.end_time == max(step.end_time for step in steps)
        assert root.start_time <= one.start_time
        native, apart = steps[1:3]
        assert native.attributes["penstock.node.executor"] == "native"
        assert apart.attributes["penstock.node.executor"] == "multiprocess"
        assert apart.attributes["penstock.node.id"] == "n1"
        assert apart.attributes["penstock.lane.waited_ms"] >= 0
        pids = {step.attributes["process.pid"] for step in steps}
        assert len(pids) == 3
        assert os.getpid() in pids
    assert len(spans) == 1 + 2 * 5


async def test_an_execution_is_one_chunk() -> None:
    exporter = InMemorySpanExporter()
    async with traced(exporter) as (wire, _):
        manifest = pipeline(*NODES)
        await wire.execute(
            execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": text("x")})
        )
    spans = exporter.get_finished_spans()
    [root] = [span for span in spans if span.name == EXECUTE]
    assert root.parent is None
    [one] = below(spans, root)
    assert [step.name for step in below(spans, one)] == ["inlet", *NODES, "outlet"]


async def test_a_call_that_fails_has_a_span_that_says_so() -> None:
    exporter = InMemorySpanExporter()
    async with traced(exporter) as (wire, _):
        call = wire.stream()
        await call.write(init(pipeline("EchoNode")))
        while not (await call.read()).HasField("ready"):
            continue
        call.cancel()
    [root] = [span for span in exporter.get_finished_spans() if span.name == STREAM]
    assert root.attributes["rpc.response.status_code"] == "CANCELLED"
    assert root.status.status_code is StatusCode.UNSET  # it is no failure of the server's


@pytest.mark.parametrize(
    ("traceparent", "wishes"),
    [
        (TRACEPARENT.removesuffix("1") + "0", {}),
        ("", {"sample_ratio": 0.0}),
        ("", {"enabled": False}),
    ],
)
async def test_a_call_that_is_not_sampled_costs_its_nodes_nothing(
    traceparent: str, wishes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    exporter = InMemorySpanExporter()
    async with traced(exporter, **wishes) as (wire, telemetry):
        spans_of = telemetry.spans_of
        monkeypatch.setattr(telemetry, "spans_of", lambda *a: asked.append(spans_of(*a)))
        await stream(wire, *NODES, traceparent=traceparent)
    assert asked == [None]
    assert exporter.get_finished_spans() == ()


async def test_a_caller_who_wants_a_trace_gets_it_whatever_the_ratio() -> None:
    exporter = InMemorySpanExporter()
    async with traced(exporter, sample_ratio=0.0) as (wire, _):
        await stream(wire, "PassThrough", traceparent=TRACEPARENT, chunks=1)
    assert len(exporter.get_finished_spans()) == 5


@pytest.mark.parametrize("traceparent", ["rubbish", "00-0-0-01", "\x7f" * 100, "00-" + "f" * 5000])
async def test_rubbish_for_a_context_is_no_context(traceparent: str) -> None:
    exporter = InMemorySpanExporter()
    async with traced(exporter) as (wire, _):
        if traceparent.isprintable():
            await stream(wire, "PassThrough", traceparent=traceparent, chunks=1)
        else:
            await stream(wire, "PassThrough", chunks=1)
    [root] = [span for span in exporter.get_finished_spans() if span.name == STREAM]
    assert root.parent is None


REFUSED: dict[str, dict[str, Any]] = {
    "memory": {
        "manifest": pipeline("EchoNode"),
        "resource_limits": pb.ResourceLimits(max_memory_bytes=1 << 20),
    },
    "processes": {"manifest": pipeline("EchoNode")},
    "sessions": {"manifest": pipeline("EchoNode")},
}
"""By what is too little; the last is the caller's share."""


@pytest.mark.parametrize("resource", REFUSED)
async def test_nothing_is_kept_of_a_session_that_is_refused(resource: str) -> None:
    shares = {"max_sessions_per_peer": 1 if resource == "sessions" else 2}
    settings = Settings.model_validate(
        {"limits": {"max_processes": 1}, "service": {"connections": shares}}
    )
    refused = init(**REFUSED[resource])
    async with traced(InMemorySpanExporter(), settings) as (wire, telemetry):
        call = wire.stream()
        await call.write(init(pipeline("EchoNode")))
        while not (await call.read()).HasField("ready"):
            continue
        for _ in range(5):
            [response] = [one async for one in wire.stream(iter([refused]))]
            assert resource in response.error.message
        assert telemetry._tracing is not None
        assert len(telemetry._tracing._sessions) == 1
        await call.write(CLOSE)
        await rest(call)


async def test_health_checks_leave_no_traces() -> None:
    exporter = InMemorySpanExporter()
    async with traced(exporter) as (wire, _):
        check = wire._channel.unary_unary(
            "/grpc.health.v1.Health/Check", response_deserializer=bytes
        )
        await check(health.HealthCheckRequest().SerializeToString())
    assert exporter.get_finished_spans() == ()


async def test_more_chunks_than_may_be_traced_are_counted_and_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "MOST_CHUNKS_PER_S", 0)
    exporter = InMemorySpanExporter()
    async with traced(exporter) as (wire, telemetry):
        responses = await stream(wire, "PassThrough", chunks=5)
        assert kinds(responses).count("result") == 5
    assert telemetry._tracing is not None
    assert telemetry._tracing.lost["rate"] == 5 * 3
    assert [span.name for span in exporter.get_finished_spans()] == [STREAM]


class Collector:
    """An OTLP collector, as far as it takes traces."""

    def __init__(self, *, answers: bool = True) -> None:
        self.spans: list[Any] = []
        self.asked = asyncio.Event()
        self._answers = answers

    async def export(self, request: otlp.ExportTraceServiceRequest, _: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        self.asked.set()
        if not self._answers:
            await asyncio.Event().wait()
        return otlp.ExportTraceServiceResponse()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            self.export,
            request_deserializer=otlp.ExportTraceServiceRequest.FromString,
            response_serializer=otlp.ExportTraceServiceResponse.SerializeToString,
        )
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        handlers = grpc.method_handlers_generic_handler(service, {"Export": handler})
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"http://127.0.0.1:{port}"
        await server.stop(0)


async def test_a_real_collector_gets_them_by_otlp() -> None:
    collector = Collector()
    async with collector.serving() as endpoint:
        async with traced(endpoint=endpoint) as (wire, telemetry):
            await stream(wire, *NODES, traceparent=TRACEPARENT)
        assert telemetry._tracing is not None
        assert telemetry._tracing.exported == len(collector.spans) == 11
    assert {span.trace_id for span in collector.spans} == {TRACE.to_bytes(16)}
    names = sorted(span.name for span in collector.spans)
    assert names == sorted([STREAM, *2 * ["chunk", "inlet", *NODES, "outlet"]])


@pytest.mark.leaves("threads", "descriptors")
async def test_a_collector_that_never_answers_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "CLOSE_S", 0.2)
    collector = Collector(answers=False)
    async with collector.serving() as endpoint, traced(endpoint=endpoint) as (wire, telemetry):
        for _ in range(2):
            responses = await stream(wire, *NODES)
            assert kinds(responses)[-1] == "closed"
        assert telemetry._tracing is not None
        assert telemetry._tracing.made == 22


@pytest.mark.leaves("threads", "descriptors")
async def test_a_collector_that_is_not_there_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "CLOSE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with traced(endpoint=endpoint) as (wire, _):
        assert kinds(await stream(wire, *NODES))[-1] == "closed"


class Broken(InMemorySpanExporter):
    def export(self, spans: Any) -> Any:
        raise ValueError("no ink")


async def test_an_exporter_that_raises_loses_its_spans_and_no_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with traced(Broken()) as (wire, telemetry):
        assert kinds(await stream(wire, "PassThrough"))[-1] == "closed"
    assert telemetry._tracing is not None
    assert telemetry._tracing.lost["exporter"] == telemetry._tracing.made == 9


async def test_spans_of_a_stream_that_goes_on_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "TICK_S", 0.01)
    monkeypatch.setattr(traces, "QUIET_NS", 0)
    exporter = InMemorySpanExporter()
    async with traced(exporter) as (wire, telemetry):
        call = wire.stream()
        await call.write(init(pipeline(*NODES)))
        while not (await call.read()).HasField("ready"):
            continue
        await call.write(chunk("x"))
        while not (await call.read()).HasField("result"):
            continue
        assert telemetry._tracing is not None
        async with asyncio.timeout(10):
            while telemetry._tracing.made < 4:
                await call.read()  # metrics come while it goes on
        await call.write(CLOSE)
        await rest(call)
