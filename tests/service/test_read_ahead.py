"""Chunks that the service has read, and that no lane has room for yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from wire_client import CLOSE, WireClient, chunk, converse, init, pipeline

from penstock.manifest import ServiceSettings, Settings
from penstock.nodes import Catalogue

STEP_S = 0.2
CHUNKS = 12


@pytest.fixture
def settings() -> Settings:
    return Settings(service=ServiceSettings(metrics_interval_secs=STEP_S))


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(Path(__file__).with_name("slow_nodes.py"))


async def test_they_are_counted_and_timed_from_when_they_came(wire: WireClient) -> None:
    manifest = pipeline("Slow", params={"seconds": STEP_S}, channel_capacity=1)
    chunks = [chunk(str(number)) for number in range(CHUNKS)]
    results, known = [], 0
    for response in await converse(wire, init(manifest), *chunks, CLOSE):
        if response.HasField("result"):
            results.append(response.result)
        elif response.HasField("metrics"):
            known = max(known, len(results) + response.metrics.buffer_items)
    # one is with the node; those that go on while they are counted are counted twice, or not at all
    assert CHUNKS - 3 <= known <= CHUNKS + 2
    assert results[-1].processing_time_ms > (CHUNKS - 3) * STEP_S * 1e3
