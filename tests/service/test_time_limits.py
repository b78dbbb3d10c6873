"""``max_timeout_ms``: a client is told as soon as its time is over, whatever the nodes still do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from wire_client import WireClient, chunk, init, pipeline, text

from penstock.manifest import Limits, Settings
from penstock.nodes import Catalogue
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution

LIMITS = pb.ResourceLimits(max_timeout_ms=3000)
EVERY_MOMENT = pytest.mark.parametrize("during", ["setup", "process"])


@pytest.fixture
def settings() -> Settings:
    return Settings(limits=Limits(max_sessions=1))


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(Path(__file__).parent / "lingering_nodes.py")


class Lingering:
    """A pipeline whose node hangs, and its process."""

    def __init__(self, path: Path, during: str) -> None:
        self._path = path
        self.manifest = pipeline("lingers", params={"path": str(path), "during": during})

    @property
    def is_there(self) -> bool:
        return Path("/proc", self._path.read_text()).exists()


@pytest.fixture
def lingering(tmp_path: Path, during: str) -> Lingering:
    return Lingering(tmp_path / "pid", during)


def assert_is_the_limit(error: pb.ErrorResponse) -> None:
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    facts: dict[str, Any] = json.loads(error.context)
    assert (facts["resource"], facts["limit"]) == ("max_timeout_ms", 3000)
    said = f"max_timeout_ms: {facts['wished']} ms have passed, and 3000 were allowed"
    assert error.message == said


@EVERY_MOMENT
async def test_a_call_does_not_wait_for_its_nodes_to_end(
    wire: WireClient, lingering: Lingering, during: str
) -> None:
    response = await wire.execute(
        execution.ExecuteRequest(
            manifest=lingering.manifest, data_inputs={"n0": text("x")}, resource_limits=LIMITS
        )
    )
    assert lingering.is_there
    assert_is_the_limit(response.error)
    assert response.failed.status == pb.EXECUTION_STATUS_FAILED
    assert response.failed.metrics.wall_time_ms > 0
    [told] = response.failed.node_results
    assert told.status == (pb.NODE_STATUS_FAILED if during == "process" else pb.NODE_STATUS_SKIPPED)


@EVERY_MOMENT
async def test_nor_does_a_stream(wire: WireClient, lingering: Lingering) -> None:
    call = wire.stream()
    await call.write(init(lingering.manifest, resource_limits=LIMITS))
    await call.write(chunk("x"))
    while not (response := await call.read()).HasField("error"):
        continue
    assert lingering.is_there
    assert_is_the_limit(response.error)
