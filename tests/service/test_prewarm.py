"""Processes that have set up a node before a session wants it."""

import os
import select
import signal

import pytest
from warm_nodes import keeping, warmed, wish

from penstock.data import Text
from penstock.errors import ConfigurationError, ServiceError
from penstock.manifest import (
    Limits,
    PrewarmSettings,
    ServiceSettings,
    Settings,
)
from penstock.manifest.schema import MultiprocessDefaults
from penstock.nodes import Catalogue
from penstock.service.admission import Admission
from penstock.session.hosting import warm


def pipeline(count=1, **params):
    return {
        "version": "v1",
        "metadata": {"name": "warm"},
        "nodes": [
            {
                "id": f"n{i}",
                "node_type": "slow_to_set_up",
                "params": params,
            }
            for i in range(count)
        ],
        "connections": [{"from": f"n{i}", "to": f"n{i + 1}"} for i in range(count - 1)],
    }


async def said(client, manifest) -> list[list[str]]:
    """What the nodes of a pipeline say of themselves: ID, process, model."""
    async with client.stream(manifest) as stream:
        await stream.send("n0", Text(""))
        await stream.close()
        (output,) = [output async for output in stream.outputs()]
    return [line.split() for line in output.value.text.splitlines()]


async def test_a_session_gets_nodes_that_are_set_up_already():
    async with warmed(2, model="large") as (client, watch):
        pids = await watch.waiting(2)
        nodes = await said(client, pipeline(2, model="large"))
    assert [node_id for node_id, _, _ in nodes] == ["n0", "n1"]
    assert {int(pid) for _, pid, _ in nodes} == set(pids)


async def test_no_process_serves_two_sessions_and_each_is_replaced():
    async with warmed(1) as (client, watch):
        for number in range(1, 4):
            pids = await watch.waiting(number)
            ((_, pid, _),) = await said(client, pipeline())
            assert int(pid) == pids[-1]
        assert len(set(await watch.waiting(4))) == 4


async def test_other_parameters_want_another_process():
    async with warmed(1, model="large") as (client, watch):
        (waiting,) = await watch.waiting(1)
        ((_, pid, model),) = await said(client, pipeline(model="small"))
    assert model == "small"
    assert int(pid) != waiting


async def test_parameters_count_by_what_they_mean():
    async with warmed(1) as (client, watch):
        (waiting,) = await watch.waiting(1)
        ((_, pid, _),) = await said(client, pipeline(model="base"))
    assert int(pid) == waiting


async def test_one_that_died_waiting_is_passed_over():
    async with warmed(1) as (client, watch):
        (waiting,) = await watch.waiting(1)
        kill(waiting)
        assert f"process {waiting} was killed by SIGKILL" in await watch.error()
        ((_, pid, _),) = await said(client, pipeline())
    assert int(pid) != waiting


def kill(pid):
    """Kill a process, and wait until it has ended."""
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([pidfd], [], [], 10)
    os.close(pidfd)


async def test_a_warm_node_that_crashes_is_named_and_the_service_goes_on():
    async with warmed(1) as (client, watch):
        await watch.waiting(1)
        with pytest.raises(ServiceError, match="killed by SIGKILL") as told:
            await crash(client, pipeline())
        assert told.value.node_id == "n0"
        assert len(await said(client, pipeline())) == 1


async def crash(client, manifest):
    async with client.stream(manifest) as stream:
        await stream.send("n0", Text("crash"))
        async for _ in stream.outputs():
            pass


async def test_one_that_can_not_be_set_up_is_logged_and_holds_nothing_up():
    async with warmed(1, model="broken") as (client, watch):
        assert "no such model" in await watch.error()
        assert len(await said(client, pipeline())) == 1


async def test_one_that_can_not_be_set_up_keeps_no_other_from_being_replaced(monkeypatch):
    monkeypatch.setattr(warm, "RETRY_S", 3600)
    async with keeping(wish(model="broken"), wish(model="base")) as (client, watch):
        assert "no such model" in await watch.error()
        await watch.waiting(1)
        assert len(await said(client, pipeline(model="base"))) == 1
        assert len(set(await watch.waiting(2))) == 2
        assert len(watch.errors) == 1


async def test_wishes_for_the_same_add_up():
    async with warmed(2, 1, model="base") as (_, watch):
        assert len(set(await watch.waiting(3))) == 3


def settings(**prewarm) -> Settings:
    return Settings(service=ServiceSettings(prewarm=(PrewarmSettings(**prewarm),)))


@pytest.mark.parametrize(
    ("prewarm", "message"),
    [
        ({"node_type": "EchoNodes"}, "did you mean 'EchoNode'"),
        ({"node_type": "CalculatorNode", "params": {"depth": 3}}, "depth"),
        ({"node_type": "PassThrough"}, "nothing to prewarm"),
    ],
)
def test_what_can_not_be_kept_ready_is_refused_before_anything_starts(prewarm, message):
    with pytest.raises(ConfigurationError, match=message) as told:
        Admission(settings(**prewarm), Catalogue.installed())
    assert told.value.faults[0].path == "service.prewarm[0]"


async def test_a_plan_tells_what_those_that_wait_leave_free():
    async with warmed(2) as (client, _):
        plan = await client.plan(pipeline(3))
    (processes,) = [one for one in plan.resources if one.name == "processes"]
    assert (processes.cost, processes.free) == (3, processes.limit - 2)


async def test_those_that_wait_count_as_processes():
    few = Settings(
        limits=Limits(max_processes=3),
        multiprocess=MultiprocessDefaults(max_processes_per_session=3),
        service=ServiceSettings(prewarm=(PrewarmSettings(node_type="EchoNode", count=4),)),
    )
    with pytest.raises(ConfigurationError, match=r"service\.prewarm: processes: 4 wished, 3 free"):
        Admission(few, Catalogue.installed())
