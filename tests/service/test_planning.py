"""``PlanPipeline``: the cost is told before anything starts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from wire_client import WireClient, init, pipeline

from penstock.cli.main import main
from penstock.client import Client, PlannedEdge, PlannedNode
from penstock.errors import ServiceError
from penstock.manifest import Settings
from penstock.testing.leaks import descendants

MANIFEST = {
    "version": "v1",
    "nodes": [{"id": "p", "node_type": "PassThrough"}, {"id": "e", "node_type": "EchoNode"}],
    "connections": [{"from": "p", "to": "e"}],
}


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"limits": {"max_processes": 5, "max_sessions": 1}})


@pytest.fixture
async def client(service: str) -> AsyncIterator[Client]:
    async with Client(service) as client:
        yield client


async def test_nodes_edges_and_what_a_session_takes(client: Client) -> None:
    plan = await client.plan(MANIFEST)
    assert [(node.stage, node.node_id, node.executor) for node in plan.nodes] == [
        (0, "p", "native"),
        (1, "e", "multiprocess"),
    ]
    assert all(isinstance(node, PlannedNode) and node.reason for node in plan.nodes)
    assert plan.edges == (PlannedEdge("p", "e", "NativeToIPC"),)
    resources = {one.name: (one.cost, one.limit, one.free) for one in plan.resources}
    assert resources["processes"] == (1, 5, 5)
    assert resources["sessions"] == (1, 1, 1)
    cost, limit, free = resources["shared_memory_bytes"]
    assert 0 < cost < limit == free
    assert plan.shortage == ""


async def test_what_is_free_is_told_as_it_is_and_why_it_is_too_little(
    client: Client, wire: WireClient
) -> None:
    call = wire.stream()
    await call.write(init(pipeline("EchoNode")))
    while not (await call.read()).HasField("ready"):
        continue
    plan = await client.plan(MANIFEST)
    free = {one.name: one.free for one in plan.resources}
    assert (free["processes"], free["sessions"]) == (4, 0)
    assert plan.shortage == "sessions: 1 wished, 0 free of 1"
    call.cancel()


async def test_nothing_starts(client: Client) -> None:
    await client.execute({"version": "v1", "nodes": MANIFEST["nodes"][:1]}, {})
    before = {one.pid for one in descendants() if "pn:" in one.name}
    await client.plan(MANIFEST)
    assert {one.pid for one in descendants() if "pn:" in one.name} == before


async def test_every_fault_is_told(client: Client) -> None:
    broken = {
        "version": "v1",
        "nodes": [{"id": "a", "node_type": "Nope"}, {"id": "b", "node_type": "Neither"}],
    }
    with pytest.raises(ServiceError) as caught:
        await client.plan(broken)
    assert caught.value.error_type == "VALIDATION"
    faults = json.loads(caught.value.context)["faults"]
    assert [fault["path"] for fault in faults] == ["nodes[0].node_type", "nodes[1].node_type"]


async def test_the_command_asks_a_service(
    service: str,
    tmp_path,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    import asyncio

    path = tmp_path / "pipeline.json"
    path.write_text(json.dumps(MANIFEST))
    arguments = ["plan", str(path), "--address", service]
    assert await asyncio.to_thread(main, [*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [[node["node_id"] for node in stage] for stage in plan["stages"]] == [["p"], ["e"]]
    assert plan["edges"] == [{"from": "p", "to": "e", "strategy": "NativeToIPC"}]
    assert {one["name"]: one["limit"] for one in plan["resources"]}["processes"] == 5
    assert await asyncio.to_thread(main, arguments) == 0
    assert "one session" in capsys.readouterr().out
