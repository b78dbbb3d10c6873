"""What is told of each node where the process of some was killed at work."""

from __future__ import annotations

from pathlib import Path

import pytest
from wire_client import WireClient, pipeline, text

from penstock.nodes import Catalogue
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution

DONE, SKIPPED, FAILED = pb.NODE_STATUS_SUCCESS, pb.NODE_STATUS_SKIPPED, pb.NODE_STATUS_FAILED


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(Path(__file__).parent / "killed_nodes.py")


async def statuses(wire: WireClient, manifest: execution.PipelineManifest) -> list[int]:
    """Of all nodes, in the order of the manifest; those that failed say the call's own error."""
    request = execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": text("x")})
    response = await wire.execute(request)
    told = {one.node_id: one for one in response.failed.node_results}
    failed = [one for one in told.values() if one.status == FAILED]
    assert [one.error for one in failed] == [response.error] * len(failed)
    return [told[f"n{number}"].status for number in range(len(told))]


@pytest.mark.parametrize("kind", ["dies", "dies_natively"])
async def test_one_has_failed_and_who_fed_it_has_not(wire: WireClient, kind: str) -> None:
    manifest = pipeline("PassThrough", kind, "PassThrough")
    assert await statuses(wire, manifest) == [DONE, FAILED, SKIPPED]


async def test_of_several_in_one_process_each_may_have_done_it(wire: WireClient) -> None:
    manifest = pipeline("PassThrough", "dies_beside", "dies_beside", "PassThrough")
    manifest.connections[1].CopyFrom(execution.Connection(**{"from": "n0", "to": "n2"}))
    assert await statuses(wire, manifest) == [DONE, FAILED, FAILED, SKIPPED]
