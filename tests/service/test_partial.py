"""A join that lacks an input on one side has done nothing, and the success is partial."""

from __future__ import annotations

import pytest
from bus_client import NODES
from wire_client import WireClient, pipeline, text

from penstock.nodes import Catalogue
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution

DONE, SKIPPED = pb.NODE_STATUS_SUCCESS, pb.NODE_STATUS_SKIPPED
WHOLE, PARTIAL = pb.EXECUTION_STATUS_SUCCESS, pb.EXECUTION_STATUS_PARTIAL_SUCCESS


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(NODES)


@pytest.mark.parametrize(
    ("given", "statuses", "overall"),
    [
        (("left", "right"), {"left": DONE, "right": DONE, "join": DONE, "n0": DONE}, WHOLE),
        (("left",), {"left": DONE, "right": SKIPPED, "join": SKIPPED, "n0": SKIPPED}, PARTIAL),
    ],
    ids=["both sides", "one side"],
)
async def test_a_join_needs_all_its_sides(
    wire: WireClient, given: tuple[str, ...], statuses: dict[str, int], overall: int
) -> None:
    manifest = pipeline("PassThrough")
    for name, node_type in (("left", "PassThrough"), ("right", "PassThrough"), ("join", "joins")):
        manifest.nodes.add(id=name, node_type=node_type)
    for source, target in (("left", "join"), ("right", "join"), ("join", "n0")):
        manifest.connections.append(execution.Connection(**{"from": source, "to": target}))
    inputs = {name: text("x") for name in given}
    request = execution.ExecuteRequest(manifest=manifest, data_inputs=inputs)
    result = (await wire.execute(request)).result
    assert {one.node_id: one.status for one in result.node_results} == statuses
    assert result.status == overall
