"""Manifests of any size and kind keep nobody waiting but those who sent them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from wire_client import WireClient, pipeline

from penstock.errors import ManifestError
from penstock.manifest import MAX_BYTES, Settings
from penstock.nodes import Catalogue
from penstock.service import plans
from penstock.service.admission import Admission, ServiceStoppingError
from penstock.service.plans import HERE_BYTES, MOST_FAULTS, REMEMBERED_BYTES, Plans
from penstock.wire import manifests
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import penstock_pb2 as ours

LARGE = pipeline(*["PassThrough"] * 1000)
WAITS_S = 10


@pytest.fixture
def made() -> Iterator[Plans]:
    kept = Plans(Settings(), Catalogue.installed())
    yield kept
    kept.close()


@pytest.fixture
async def plan(service: str) -> AsyncIterator[Any]:
    """``PlanPipeline`` of a service."""
    async with grpc.aio.insecure_channel(service) as channel:
        method: Any = channel.unary_unary(
            "/penstock.v1.PipelinePlanning/PlanPipeline",
            request_serializer=ours.PlanRequest.SerializeToString,
            response_deserializer=ours.PlanResponse.FromString,
        )
        yield lambda manifest: method(ours.PlanRequest(manifest=manifest))


class Slow:
    """Plans nothing until it is let; ``begun`` is set when it would."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_go_on = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._make_plan = plans.make_plan

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.may_go_on.wait(WAITS_S), "nobody else had a turn"
        return self._make_plan(*args, **kwargs)


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Slow]:
    planning = Slow()
    monkeypatch.setattr(plans, "make_plan", planning)
    yield planning
    planning.may_go_on.set()


async def test_others_are_served_while_a_large_one_is_planned(
    plan: Any, wire: WireClient, slow: Slow
) -> None:
    planning = plan(LARGE)
    async with asyncio.timeout(WAITS_S):
        await slow.begun.wait()
    assert (await wire.version(execution.VersionRequest())).compatible
    slow.may_go_on.set()
    assert len((await planning).plan.stages) == 1000


async def test_a_session_whose_plan_comes_after_the_end_is_refused(slow: Slow) -> None:
    admission = Admission(Settings(), Catalogue.installed())

    async def opened() -> None:
        async with admission.session(LARGE):
            raise AssertionError("it was admitted")

    with contextlib.closing(admission.plans), contextlib.closing(admission.hosts):
        opening = asyncio.create_task(opened())
        await slow.begun.wait()
        await admission.stop()
        slow.may_go_on.set()
        with pytest.raises(ServiceStoppingError):
            await opening


@pytest.mark.parametrize(
    "manifest",
    [
        pipeline("PassThrough", params={"x": "y" * MAX_BYTES}),
        pipeline(*["PassThrough"] * (manifests.MOST_NODES + 1)),
        execution.PipelineManifest(
            connections=[execution.Connection()] * (manifests.MOST_CONNECTIONS + 1)
        ),
    ],
    ids=["bytes", "nodes", "connections"],
)
async def test_what_is_too_large_is_not_looked_at(
    plan: Any, manifest: execution.PipelineManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "decode_manifest", None)
    error = (await plan(manifest)).error
    assert error.error_type == pb.ERROR_TYPE_VALIDATION
    assert "larger than" in error.message or "more than" in error.message


@pytest.mark.parametrize("node_type", ["PassThrough", "PassTrough"])
async def test_what_comes_again_is_read_once(
    made: Plans, node_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[execution.PipelineManifest] = []
    decode = plans.decode_manifest
    monkeypatch.setattr(plans, "decode_manifest", lambda one: read.append(one) or decode(one))
    for manifest in [pipeline(node_type), pipeline(node_type, "EchoNode")] * 3:
        with contextlib.suppress(ManifestError):
            await made.plan(manifest)
    assert len(read) == 2


async def test_what_is_kept_is_small(made: Plans) -> None:
    large = pipeline("CommandReplyNode", params={"replies": {"x": "y" * REMEMBERED_BYTES}})
    assert large.ByteSize() > REMEMBERED_BYTES > HERE_BYTES
    assert await made.plan(large) is not await made.plan(large)
    for number in range(2 * plans.REMEMBERED):
        await made.plan(pipeline("CommandReplyNode", params={"replies": {"x": f"{number}"}}))
    assert len(made._known) == plans.REMEMBERED


async def test_of_many_faults_the_first_are_told_and_how_many_there_are(made: Plans) -> None:
    with pytest.raises(ManifestError) as caught:
        await made.plan(pipeline(*["PassTrough"] * (MOST_FAULTS + 5)))
    *faults, last = caught.value.faults
    assert [fault.path for fault in faults[:2]] == ["nodes[0].node_type", "nodes[1].node_type"]
    assert (len(faults), last.message) == (MOST_FAULTS, "there are 5 faults more")
