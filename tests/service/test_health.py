"""Health tells the truth: of the service, and of each session."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthStub
from wire_client import CLOSE, WireClient, chunk, init, kinds, pipeline, rest

from penstock.executors.multiprocess import launcher
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.manifest import Settings
from penstock.service import health, readiness
from penstock.service.health import HealthBoard
from penstock.testing import ProcessTree
from penstock.testing.leaks import descendants
from penstock.wire.methods import SERVICES

Status = pb.HealthCheckResponse


@pytest.fixture
async def standard(service: str) -> AsyncIterator[Any]:
    """gRPC's own client, as an orchestrator has it."""
    async with grpc.aio.insecure_channel(service) as channel:
        yield HealthStub(channel)


@pytest.fixture
async def ready(standard: Any) -> Any:
    """The same, once the service is ready."""
    watch = standard.Watch(pb.HealthCheckRequest())
    await seen(watch, Status.SERVING)
    watch.cancel()
    return standard


async def seen(watch: Any, wanted: int) -> list[int]:
    """What a watcher is told, up to what is wanted."""
    told = []
    async with asyncio.timeout(10):
        while not told or told[-1] != wanted:
            told.append((await watch.read()).status)
    return told


async def checked(stub: Any, name: str = "") -> int:
    return int((await stub.Check(pb.HealthCheckRequest(service=name))).status)


@pytest.mark.parametrize("call", ["Check", "Watch"])
async def test_a_name_that_is_too_long_is_refused(standard: Any, call: str) -> None:
    asked = getattr(standard, call)(pb.HealthCheckRequest(service="x" * 257))
    assert await asked.code() is grpc.StatusCode.INVALID_ARGUMENT


async def opened(wire: WireClient, *types: str) -> tuple[Any, str]:
    call = wire.stream()
    await call.write(init(pipeline(*types)))
    while not (response := await call.read()).HasField("ready"):
        assert not response.HasField("error"), response
    return call, health.SESSION + response.ready.session_id


async def finished(call: Any) -> None:
    await call.write(CLOSE)
    assert kinds(await rest(call))[-1] == "closed"


async def test_the_service_and_its_services_have_a_name_each(ready: Any) -> None:
    for name in ("", *SERVICES):
        assert await checked(ready, name) == Status.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await checked(ready, "no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "no.such.Service" in caught.value.details()


async def test_a_session_serves_from_ready_to_its_end(ready: Any, wire: WireClient) -> None:
    call, name = await opened(wire, "PassThrough", "EchoNode")
    assert await checked(ready, name) == Status.SERVING
    watch = ready.Watch(pb.HealthCheckRequest(service=name))
    await seen(watch, Status.SERVING)
    await finished(call)
    assert await seen(watch, Status.SERVICE_UNKNOWN) == [
        Status.NOT_SERVING,
        Status.SERVICE_UNKNOWN,
    ]
    watch.cancel()


async def test_a_node_that_dies_flips_its_session_and_no_other(
    ready: Any, wire: WireClient
) -> None:
    doomed, name = await opened(wire, "segfault_in_process")
    other, beside = await opened(wire, "EchoNode")
    watch = ready.Watch(pb.HealthCheckRequest(service=name))
    await seen(watch, Status.SERVING)
    await doomed.write(chunk("x"))
    assert await seen(watch, Status.SERVICE_UNKNOWN) == [
        Status.NOT_SERVING,
        Status.SERVICE_UNKNOWN,
    ]
    assert await checked(ready, beside) == Status.SERVING
    assert await checked(ready) == Status.SERVING
    watch.cancel()
    await finished(other)


async def test_a_host_that_is_killed_flips_its_session_and_no_other(
    ready: Any, wire: WireClient
) -> None:
    doomed, name = await opened(wire, "PassThrough", "EchoNode")
    victim = host_beside("n1")
    other, beside = await opened(wire, "PassThrough")
    watch = ready.Watch(pb.HealthCheckRequest(service=name))
    await seen(watch, Status.SERVING)
    os.kill(victim, signal.SIGKILL)
    assert await seen(watch, Status.SERVICE_UNKNOWN) == [
        Status.NOT_SERVING,
        Status.SERVICE_UNKNOWN,
    ]
    assert await checked(ready, beside) == Status.SERVING
    assert await checked(ready) == Status.SERVING
    watch.cancel()
    assert kinds(await rest(doomed))[-1] == "error"
    await finished(other)


def host_beside(node_id: str) -> int:
    """The host of the session that has the only node process of that name."""
    [node] = [one for one in descendants() if one.name == f"pn:{node_id}"]
    [host] = ProcessTree(node.parent).named("penstock-host")
    return host.pid


class TestWithRoomForOneSession:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"limits": {"max_sessions": 1}})

    async def test_a_budget_that_is_used_up_is_not_serving_until_it_is_free(
        self, ready: Any, wire: WireClient
    ) -> None:
        watch = ready.Watch(pb.HealthCheckRequest())
        await seen(watch, Status.SERVING)
        call, _ = await opened(wire, "PassThrough")
        await seen(watch, Status.NOT_SERVING)
        await finished(call)
        await seen(watch, Status.SERVING)
        watch.cancel()


async def test_a_zygote_that_dies_is_replaced_and_sessions_do_not_notice(
    ready: Any, wire: WireClient
) -> None:
    call, name = await opened(wire, "EchoNode")
    watch = ready.Watch(pb.HealthCheckRequest())
    await seen(watch, Status.SERVING)
    first = LAUNCHER.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert await seen(watch, Status.SERVING) == [Status.NOT_SERVING, Status.SERVING]
    assert LAUNCHER.pid not in (None, first)
    assert await checked(ready, name) == Status.SERVING
    watch.cancel()
    await finished(call)


async def test_without_a_zygote_it_does_not_serve_until_there_is_one(
    ready: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "RETRY_S", 0.01)
    watch = ready.Watch(pb.HealthCheckRequest())
    await seen(watch, Status.SERVING)
    with monkeypatch.context() as broken:
        broken.setattr(launcher.sys, "executable", "/bin/false")
        assert LAUNCHER.pid is not None
        os.kill(LAUNCHER.pid, signal.SIGKILL)
        assert await seen(watch, Status.NOT_SERVING) == [Status.NOT_SERVING]
        assert await checked(ready) == Status.NOT_SERVING
    await seen(watch, Status.SERVING)
    watch.cancel()


async def test_the_end_of_the_service_ends_a_watch(ready: Any) -> None:
    watch = ready.Watch(pb.HealthCheckRequest())
    await seen(watch, Status.SERVING)
    # the fixtures' end would wait for it otherwise


async def test_a_slow_watcher_hears_the_last_changes() -> None:
    board = HealthBoard(["x"])
    told = board.watch("x")
    assert await anext(told) == Status.NOT_SERVING
    for turn in range(101):
        board.set("x", serving=turn % 2 == 0)
    heard = [await anext(told) for _ in range(16)]
    assert heard == [Status.NOT_SERVING, Status.SERVING] * 8
    board.close()
    assert [status async for status in told] == []
