"""What a real service tells a scraper of itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
from scraping import OPENMETRICS, get
from wire_client import (
    CANCEL,
    CLOSE,
    WireClient,
    calls_ended,
    chunk,
    converse,
    init,
    pipeline,
    rest,
)

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.manifest import (
    Limits,
    PrewarmSettings,
    ServiceSettings,
    Settings,
    TelemetrySettings,
)
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.telemetry import Telemetry, metrics
from penstock.telemetry.families import FAMILIES
from penstock.wire.v1 import health_pb2 as health

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
STREAM = "/remotemedia.v1.StreamingPipelineService/StreamPipeline"


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)
    monkeypatch.setattr(metrics, "LOOK_EVERY_S", 0.0)


class Scraped:
    """A service, a client of it, and what a scraper finds."""

    def __init__(self, address: str, wire: WireClient) -> None:
        self.address = address
        self.wire = wire

    async def text(self, accept: str = "") -> str:
        answer = await get(self.address, accept=accept)
        assert answer.status == 200
        return answer.text

    async def samples(self) -> Samples:
        found = parser.text_string_to_metric_families(await self.text())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in found
            for sample in family.samples
        }

    async def value(self, name: str, **labels: str) -> float:
        return (await self.samples())[name, frozenset(labels.items())]


@contextlib.asynccontextmanager
async def scraped(
    settings: Settings | None = None,
) -> AsyncIterator[Scraped]:
    catalogue = Catalogue.installed().extended("penstock.testing.faults")
    telemetry = Telemetry(TelemetrySettings(metrics_bind="127.0.0.1:0"))
    serving = running(settings or Settings(), "127.0.0.1:0", catalogue, telemetry)
    async with serving as address, WireClient(address) as wire:
        assert telemetry.metrics_address is not None
        yield Scraped(telemetry.metrics_address, wire)
    await calls_ended()


async def opened(wire: WireClient, *types: str, **options: Any) -> Any:
    """A stream that is ready and goes on."""
    call = wire.stream()
    await call.write(init(pipeline(*types, **options)))
    while not (await call.read()).HasField("ready"):
        continue
    return call


async def result(call: Any, said: str) -> None:
    """Send something and wait until it has come back."""
    await call.write(chunk(said))
    while not (await call.read()).HasField("result"):
        continue


async def closed(call: Any) -> None:
    await call.write(CLOSE)
    await rest(call)


EDGES = [
    {"source_type": "client", "target_type": "PassThrough", "strategy": "Direct"},
    {"source_type": "PassThrough", "target_type": "EchoNode", "strategy": "NativeToIPC"},
    {"source_type": "EchoNode", "target_type": "client", "strategy": "IPCToNative"},
]


async def test_everything_that_went_through_is_counted() -> None:
    async with scraped() as service:
        for _ in range(2):
            chunks = [chunk(f"{number}") for number in range(5)]
            await converse(service.wire, init(pipeline("PassThrough", "EchoNode")), *chunks, CLOSE)
        found = await service.samples()

        def value(name: str, **labels: str) -> float:
            return found[name, frozenset(labels.items())]

        assert value("penstock_sessions_started_total") == 2
        assert value("penstock_sessions_ended_total", outcome="completed") == 2
        assert value("penstock_calls_total", method=STREAM, code="OK") == 2
        assert value("penstock_call_duration_seconds_count", method=STREAM) == 2
        native = {"node_type": "PassThrough", "executor": "native"}
        apart = {"node_type": "EchoNode", "executor": "multiprocess"}
        for node_labels in (native, apart):
            assert value("penstock_node_items_total", **node_labels) == 10
            assert value("penstock_node_outputs_total", **node_labels) == 10
            assert value("penstock_node_processing_seconds_count", **node_labels) == 10
            assert value("penstock_node_processing_seconds_sum", **node_labels) > 0
        for edge in EDGES:
            assert value("penstock_edge_sent_messages_total", **edge) == 10
            assert value("penstock_edge_received_messages_total", **edge) == 10
            assert value("penstock_edge_payload_bytes_total", **edge) == 10
        assert value("penstock_edge_transit_seconds_count", **EDGES[1]) == 10
        assert value("penstock_edge_conversion_seconds_count", **EDGES[1]) == 20
        assert value("penstock_process_cpu_seconds_total", kind="node", node_type="EchoNode") > 0
        assert value("penstock_process_cpu_seconds_total", kind="host", node_type="") > 0


async def test_what_is_there_now_is_shown() -> None:
    async with scraped() as service:
        call = await opened(service.wire, "EchoNode")
        await result(call, "x")
        found = await service.samples()

        def value(name: str, **labels: str) -> float:
            return found[name, frozenset(labels.items())]

        assert value("penstock_sessions", state="executing") == 1
        assert value("penstock_nodes", node_type="EchoNode", executor="multiprocess") == 1
        assert value("penstock_calls_in_progress", method=STREAM) == 1
        assert value("penstock_budget_reserved", resource="processes") == 1
        assert value("penstock_budget_reserved_bytes", resource="shared_memory") > 0
        assert value("penstock_budget_limit", resource="sessions") == 1000
        assert value("penstock_processes", kind="node", node_type="EchoNode") == 1
        for kind in ("front_door", "zygote", "supervisor", "host"):
            assert value("penstock_processes", kind=kind, node_type="") >= 1
            assert value("penstock_process_memory_bytes", kind=kind, node_type="") > 1 << 20
        await closed(call)
        found = await service.samples()
        assert value("penstock_sessions", state="executing") == 0
        assert ("penstock_nodes", frozenset({("node_type", "EchoNode")})) not in found


def counting(samples: Samples) -> Samples:
    """Those that may only grow."""
    grow = re.compile(r"_(total|bucket|count|sum)$")
    return {key: value for key, value in samples.items() if grow.search(key[0])}


async def test_no_counter_ever_falls_as_sessions_come_and_go() -> None:
    async with scraped() as service:
        scrapes = [await service.samples()]
        for _ in range(2):
            call = await opened(service.wire, "PassThrough", "EchoNode")
            for _ in range(3):
                await result(call, "x")
                scrapes.append(await service.samples())
            await closed(call)
            scrapes.append(await service.samples())
        for before, after in pairwise(scrapes):
            grown = counting(after)
            assert not {key: was for key, was in counting(before).items() if grown[key] < was}
        labels = frozenset({"node_type": "EchoNode", "executor": "multiprocess"}.items())
        items = [scrape.get(("penstock_node_items_total", labels), 0) for scrape in scrapes]
        assert items == [0, 1, 2, 3, 3, 4, 5, 6, 6]


async def test_what_ended_badly_is_told_by_its_sort() -> None:
    async with scraped(Settings(limits=Limits(max_sessions=1))) as service:
        await converse(service.wire, init(pipeline("raise_in_process")), chunk("x"), CLOSE)
        assert await service.value("penstock_call_duration_seconds_count", method=STREAM) == 1
        node = {"node_type": "raise_in_process", "executor": "multiprocess"}
        assert await service.value("penstock_node_items_total", **node) == 1
        timed = ("penstock_node_processing_seconds_count", frozenset(node.items()))
        assert timed not in await service.samples()
        call = await opened(service.wire, "EchoNode")
        await converse(service.wire, init(pipeline("EchoNode")), CLOSE)  # there is room for one
        assert await service.value("penstock_admission_refusals_total", resource="sessions") == 1
        await call.write(CANCEL)
        await rest(call)
        assert await service.value("penstock_sessions_ended_total", outcome="node_failed") == 1
        assert await service.value("penstock_sessions_ended_total", outcome="cancelled") == 1
        assert await service.value("penstock_sessions_started_total") == 2


async def test_both_forms_of_the_text_say_the_same_of_every_family() -> None:
    async with scraped() as service:
        await converse(service.wire, init(pipeline("EchoNode")), chunk("x"), CLOSE)
        plain = list(parser.text_string_to_metric_families(await service.text()))
        fancy_text = await service.text(OPENMETRICS)
        fancy = list(openmetrics.text_string_to_metric_families(fancy_text))
    assert fancy_text.endswith("# EOF\n")
    told = {f"{one.name}_total" if one.type == "counter" else one.name: one for one in plain}
    assert told.keys() == {family.name for family in FAMILIES}
    for family in FAMILIES:
        assert (told[family.name].type, told[family.name].documentation) == (
            family.kind,
            family.help,
        )
    assert [(one.name, one.type) for one in fancy] == [(one.name, one.type) for one in plain]


BASE_UNITS = ("seconds", "bytes")
OTHER_UNITS = ("ms", "us", "ns", "milliseconds", "microseconds", "kilobytes", "mb", "percent")
RESERVED = ("counter", "gauge", "histogram", "summary", "count", "sum", "bucket")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_are_as_prometheus_wants_them(family: Any) -> None:
    """What promtool's linter looks for."""
    words = family.name.split("_")
    assert re.fullmatch(r"penstock(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert not set(words) & {
        *OTHER_UNITS,
        "counter",
        "gauge",
        "histogram",
        "count",
        "sum",
        "bucket",
    }
    assert not any(unit in words[:-2] for unit in BASE_UNITS)
    assert family.kind != "histogram" or words[-1] == "seconds"
    assert bool(family.bounds) == (family.kind == "histogram")
    assert family.help.endswith(".")
    assert "le" not in family.labels


async def test_a_client_can_not_make_the_page_grow() -> None:
    """The IDs that it chooses are not told; types are the operator's, and their number bounded."""
    async with scraped() as service:
        sizes = []
        for name in ("a", "b", "\n} 1\nfake 1"):
            manifest = pipeline("PassThrough")
            manifest.nodes[0].id = name.strip().replace("\n", " ")
            await converse(service.wire, init(manifest), chunk("x", manifest.nodes[0].id), CLOSE)
            text = await service.text()
            assert "fake" not in text
            sizes.append(len(re.findall("^penstock_(?:node|edge)_", text, re.MULTILINE)))
        assert len(set(sizes)) == 1


async def test_the_zygote_s_restarts_are_counted() -> None:
    async with scraped() as service:
        watch = service.wire._channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )(health.HealthCheckRequest())
        serving = health.HealthCheckResponse.SERVING
        while (await watch.read()).status != serving:
            continue
        assert await service.value("penstock_zygote_restarts_total") == 0
        assert LAUNCHER.pid is not None
        os.kill(LAUNCHER.pid, signal.SIGKILL)
        while (await watch.read()).status == serving:
            continue
        while (await watch.read()).status != serving:
            continue
        assert await service.value("penstock_zygote_restarts_total") == 1
        watch.cancel()


async def test_hosts_and_prewarmed_nodes_are_told_by_whether_they_were_ready() -> None:
    wish = PrewarmSettings(node_type="EchoNode")
    settings = Settings(service=ServiceSettings(spare_hosts=0, prewarm=(wish,)))
    async with scraped(settings) as service:
        await converse(service.wire, init(pipeline("EchoNode", "EchoNode")), chunk("x"), CLOSE)
        found = await service.samples()
    assert found["penstock_hosts_taken_total", frozenset({("source", "forked")})] == 1
    taken = {
        dict(labels)["result"]: value
        for (name, labels), value in found.items()
        if name == "penstock_prewarmed_nodes_taken_total"
    }
    assert sum(taken.values()) == 2
    assert taken["miss"] >= 1


async def test_a_session_that_does_not_answer_holds_up_no_scrape() -> None:
    async with scraped() as service:
        call = await opened(service.wire, "hang_in_process")
        await call.write(chunk("x"))
        async with asyncio.timeout(10):
            assert await service.value("penstock_sessions", state="executing") == 1
        await call.write(CANCEL)
        await rest(call)
