"""What a client hears of the nodes of a manifest that was executed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from attaching import chain
from test_blocking import ECHO

from penstock.client import (
    BlockingClient,
    Client,
    ExecutionFailedError,
    ExecutionStatus,
    NodeResult,
    NodeStatus,
)
from penstock.client.outcomes import execution_outcome
from penstock.errors import ServiceError
from penstock.wire.v1 import execution_pb2 as pb

ASIDE: dict[str, Any] = {
    "version": "v1",
    "nodes": [{"id": name, "node_type": "PassThrough"} for name in ("a", "after", "side")],
    "connections": [{"from": "a", "to": "after"}],
}


async def test_a_success_has_every_node(client: Client) -> None:
    outcome = await client.execute(chain("EchoNode", "PassThrough"), {"n0": "x"})
    assert outcome.status is ExecutionStatus.SUCCESS
    succeeded = NodeResult(NodeStatus.SUCCESS)
    assert list(outcome.node_results.items()) == [("n0", succeeded), ("n1", succeeded)]


async def test_a_partial_success_says_who_was_skipped(client: Client) -> None:
    outcome = await client.execute(ASIDE, {"a": "x"})
    assert outcome.status is ExecutionStatus.PARTIAL_SUCCESS
    assert {name: one.status for name, one in outcome.node_results.items()} == {
        "a": NodeStatus.SUCCESS,
        "after": NodeStatus.SUCCESS,
        "side": NodeStatus.SKIPPED,
    }


async def test_a_failure_says_what_the_others_did(client: Client) -> None:
    manifest = chain("EchoNode", "raise_in_process", "PassThrough")
    with pytest.raises(ExecutionFailedError, match="can't digest input 1") as caught:
        await client.execute(manifest, {"n0": "x"})
    error, outcome = caught.value, caught.value.outcome
    assert (error.error_type, error.node_id) == ("NODE_EXECUTION", "n1")
    assert "can't digest input 1" in error.traceback
    assert (outcome.status, outcome.outputs) == (ExecutionStatus.FAILED, ())
    assert {name: one.status for name, one in outcome.node_results.items()} == {
        "n0": NodeStatus.SUCCESS,
        "n1": NodeStatus.FAILED,
        "n2": NodeStatus.SKIPPED,
    }
    its_own = outcome.node_results["n1"].error
    assert its_own is not None
    assert (str(its_own), its_own.node_id) == (str(error), "n1")
    assert outcome.metrics.nodes["n0"].items_processed == 1
    assert outcome.metrics.wall_time_s > 0


async def test_what_was_never_admitted_has_no_outcome(client: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        await client.execute(chain("NoSuchNode"), {"n0": "x"})
    assert type(caught.value) is ServiceError


async def test_the_outcome_survives_pickling(client: Client) -> None:
    with pytest.raises(ExecutionFailedError) as caught:
        await client.execute(chain("raise_in_process"), {"n0": "x"})
    restored = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own bytes
    assert type(restored) is ExecutionFailedError
    assert str(restored) == str(caught.value)
    assert restored.outcome.metrics == caught.value.outcome.metrics
    assert restored.outcome.node_results["n0"].status is NodeStatus.FAILED


def test_what_another_service_says_or_leaves_out_is_unspecified() -> None:
    said = execution_outcome(pb.ExecutionResult())
    assert (said.status, said.node_results) == (ExecutionStatus.UNSPECIFIED, {})
    newer = pb.ExecutionResult(status=100)  # type: ignore[arg-type]  # of a later protocol
    newer.node_results.add(node_id="a", status=100)  # type: ignore[arg-type]
    outcome = execution_outcome(newer)
    assert outcome.status is ExecutionStatus.UNSPECIFIED
    assert outcome.node_results == {"a": NodeResult(NodeStatus.UNSPECIFIED)}


def test_the_blocking_client_has_it_too(address: str) -> None:
    with BlockingClient(address) as client:
        outcome = client.execute(ECHO, {"echo": "x"})
        assert outcome.node_results == {"echo": NodeResult(NodeStatus.SUCCESS)}
        with pytest.raises(ExecutionFailedError) as caught:
            client.execute(chain("raise_in_process"), {"n0": "x"})
        assert caught.value.outcome.status is ExecutionStatus.FAILED
