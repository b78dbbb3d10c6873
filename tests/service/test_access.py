"""Who may call: tokens and their rights, on every method, before a request is read."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from bearers import MASTER, OTHER, ROBOT, bearing, reason_of, status_of, written
from wire_client import CLOSE, WireClient, calls_ended, chunk, init, pipeline, rest, text

from penstock.manifest import (
    ConnectionSettings,
    ServiceSettings,
    Settings,
    digest_of,
    new_token,
)
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.reflection import SERVICES
from penstock.wire.methods import PATHS
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import health_pb2 as health
from penstock.wire.v1 import penstock_pb2 as ours

REFLECTION = [f"/{name}/ServerReflectionInfo" for name in SERVICES]


@pytest.fixture
def robot() -> str:
    """What the file says of the robot; a test may override it."""
    return ""


@pytest.fixture
def settings(tmp_path: Path, robot: str) -> Settings:
    tokens = written(tmp_path / "tokens.toml", robot)
    return Settings(service=ServiceSettings(tokens=str(tokens)))


def execute(wire: WireClient, token: str, *types: str) -> Awaitable[execution.ExecuteResponse]:
    request = execution.ExecuteRequest(
        manifest=pipeline(*types or ("PassThrough",)), data_inputs={"n0": text("a")}
    )
    return wire.execute(request, **bearing(token))


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", MASTER),),
        (("authorization", f"Basic {MASTER}"),),
        (("authorization", f"Bearer {new_token()}"),),
        (("authorization", f"Bearer {MASTER}"), ("authorization", f"Bearer {ROBOT}")),
        (("authorization", "Bearer "),),
        (("authorization", f"Bearer {digest_of(MASTER)}"),),
    ],
    ids=["none", "no scheme", "basic", "unknown", "two", "empty", "its hash"],
)
@pytest.mark.parametrize("path", [*sorted(PATHS), *REFLECTION, "/no.such.Service/Method"])
async def test_no_method_of_any_service_is_served_without_a_token(
    service: str, path: str, metadata: Any
) -> None:
    async with grpc.aio.insecure_channel(service) as channel:
        call = channel.unary_stream(path)(b"\xff" * 100, metadata=metadata)
        code, details = await status_of(call.read())
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert not any(token in details for token in (MASTER, ROBOT, "pst_"))


async def test_a_token_lets_in(wire: WireClient) -> None:
    assert (await execute(wire, MASTER)).WhichOneof("outcome") == "result"
    call = wire.stream(**bearing(ROBOT))
    for request in (init(pipeline("PassThrough")), chunk("a"), CLOSE):
        await call.write(request)
    assert (await rest(call))[-1].WhichOneof("response") == "closed"


@pytest.mark.parametrize("robot", ['sessions = "all"'])
async def test_others_sessions_are_not_there_to_attach_to(wire: WireClient) -> None:
    """While they run and afterwards, but for who may see all of them."""
    call = wire.stream(**bearing(MASTER))
    await call.write(init(pipeline("PassThrough")))
    while (response := await call.read()).WhichOneof("response") != "ready":
        continue
    hello = control.ControlFrame(hello=control.Hello(session_id=response.ready.session_id))
    not_found = (grpc.StatusCode.NOT_FOUND, f"session {hello.hello.session_id!r} not found")
    attaching = [wire.attach(**bearing(token)) for token in (OTHER, MASTER, ROBOT)]
    for attached in attaching:
        await attached.write(hello)
    assert await status_of(attaching[0].read()) == not_found
    for attached in attaching[1:]:
        assert (await attached.read()).WhichOneof("event") == "attached"
    await call.write(CLOSE)
    await rest(call)
    assert await status_of(wire.attach(iter([hello]), **bearing(OTHER)).read()) == not_found
    attaching += [wire.attach(iter([hello]), **bearing(token)) for token in (MASTER, ROBOT)]
    for attached in attaching[1:]:
        assert (await rest(attached))[-1].WhichOneof("event") == "session_closed"


@pytest.mark.parametrize("robot", ['methods = ["GetVersion", "Plan*"]'])
async def test_a_token_calls_its_methods_only(wire: WireClient) -> None:
    version = wire.version(execution.VersionRequest(), **bearing(ROBOT))
    assert await status_of(version) == (grpc.StatusCode.OK, "")
    refused = (grpc.StatusCode.PERMISSION_DENIED, "token robot may not call ExecutePipeline")
    assert await status_of(execute(wire, ROBOT)) == refused


@pytest.mark.parametrize("robot", ['methods = ["ServerReflectionInfo", "Watch"]'])
async def test_health_and_reflection_have_rights_of_their_own(service: str) -> None:
    allowed = [*REFLECTION, "/grpc.health.v1.Health/Watch"]
    async with grpc.aio.insecure_channel(service) as channel:
        for path in (*allowed, "/grpc.health.v1.Health/Check"):
            call = channel.stream_stream(path)(**bearing(ROBOT))
            await call.write(b"")
            code, _ = await status_of(call.read())
            refused = code is grpc.StatusCode.PERMISSION_DENIED
            assert refused is (path not in allowed), path
            call.cancel()


@pytest.mark.parametrize("robot", ['node_types = ["Pass*"]'])
async def test_a_token_uses_its_node_types_only(service: str, wire: WireClient) -> None:
    assert (await execute(wire, ROBOT)).WhichOneof("outcome") == "result"
    error = (await execute(wire, ROBOT, "PassThrough", "EchoNode")).error
    assert error.error_type == pb.ERROR_TYPE_AUTHENTICATION
    assert error.message == "token robot may not use nodes of type 'EchoNode'"
    lacking = pipeline("CalculatorNode", params={"no": "such"})  # what it has is nobody's business
    hidden = (
        await wire.execute(execution.ExecuteRequest(manifest=lacking), **bearing(ROBOT))
    ).error
    assert hidden.message == "token robot may not use nodes of type 'CalculatorNode'"
    async with grpc.aio.insecure_channel(service) as channel:
        plan: Any = channel.unary_unary(
            "/penstock.v1.PipelinePlanning/PlanPipeline",
            request_serializer=ours.PlanRequest.SerializeToString,
            response_deserializer=ours.PlanResponse.FromString,
        )
        request = ours.PlanRequest(manifest=pipeline("EchoNode"))
        assert "EchoNode" in (await plan(request, **bearing(ROBOT))).error.message
    version = await wire.version(execution.VersionRequest(), **bearing(ROBOT))
    assert version.version_info.supported_node_types == ["PassThrough"]


@pytest.mark.parametrize("robot", ["max_sessions = 1\nmax_processes = 1"])
async def test_a_token_has_its_share_and_gets_it_back(wire: WireClient) -> None:
    call = wire.stream(**bearing(ROBOT))
    await call.write(init(pipeline("PassThrough")))
    while not (await call.read()).HasField("ready"):
        continue
    error = (await execute(wire, ROBOT)).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert error.message == "sessions of this caller: 1 wished, 0 free of 1"
    assert (await execute(wire, OTHER)).WhichOneof("outcome") == "result"
    await call.write(CLOSE)
    await rest(call)
    message = (await execute(wire, ROBOT, "EchoNode", "EchoNode")).error.message
    assert message == "processes of this caller: 2 wished, 1 free of 1"
    assert (await execute(wire, ROBOT, "EchoNode")).WhichOneof("outcome") == "result"


async def test_a_session_is_shown_to_its_own_token_only(service: str, wire: WireClient) -> None:
    call = wire.stream(**bearing(ROBOT))
    await call.write(init(pipeline("PassThrough")))
    while not (response := await call.read()).HasField("ready"):
        continue
    name = f"penstock.session/{response.ready.session_id}"
    async with grpc.aio.insecure_channel(service) as channel:
        check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )
        request = health.HealthCheckRequest(service=name)
        own = await check(request, **bearing(ROBOT))
        assert own.status == health.HealthCheckResponse.SERVING
        code, _ = await status_of(check(request, **bearing(OTHER)))
        assert code is grpc.StatusCode.NOT_FOUND
    await call.write(CLOSE)
    await rest(call)


@pytest.mark.parametrize("robot", ['sessions = "all"'])
async def test_a_token_may_see_all_sessions(service: str, wire: WireClient) -> None:
    call = wire.stream(**bearing(OTHER))
    await call.write(init(pipeline("PassThrough")))
    while not (response := await call.read()).HasField("ready"):
        continue
    name = f"penstock.session/{response.ready.session_id}"
    request = health.HealthCheckRequest(service=name).SerializeToString()
    async with grpc.aio.insecure_channel(service) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert (await status_of(check(request, **bearing(ROBOT))))[0] is grpc.StatusCode.OK
    await closed(call)


@pytest.mark.parametrize("robot", ["max_shared_memory_bytes = 1000"])
async def test_a_token_has_its_share_of_the_memory(wire: WireClient) -> None:
    error = (await execute(wire, ROBOT, "EchoNode")).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert error.message.startswith("shared_memory_bytes of this caller: ")
    assert (await execute(wire, OTHER, "EchoNode")).WhichOneof("outcome") == "result"


async def test_health_may_be_open(tmp_path: Path, catalogue: Catalogue) -> None:
    tokens = str(written(tmp_path / "tokens.toml"))
    settings = Settings(service=ServiceSettings(tokens=tokens, open_health=True))
    async with (
        running(settings, "127.0.0.1:0", catalogue) as address,
        grpc.aio.insecure_channel(address) as channel,
        WireClient(address) as wire,
    ):
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert (await status_of(check(b"")))[0] is grpc.StatusCode.OK
        version = wire.version(execution.VersionRequest())
        assert (await status_of(version))[0] is grpc.StatusCode.UNAUTHENTICATED
    await calls_ended()


@pytest.mark.parametrize("robot", ['methods = ["StreamPipeline"]'])
async def test_open_health_shows_sessions_to_who_may_see_them_only(
    settings: Settings, catalogue: Catalogue
) -> None:
    opened_to_all = settings.service.model_copy(update={"open_health": True})
    async with (
        running(Settings(service=opened_to_all), "127.0.0.1:0", catalogue) as address,
        grpc.aio.insecure_channel(address) as channel,
        WireClient(address) as wire,
    ):
        call = wire.stream(**bearing(ROBOT))
        await call.write(init(pipeline("PassThrough")))
        while not (response := await call.read()).HasField("ready"):
            continue
        name = f"penstock.session/{response.ready.session_id}"
        request = health.HealthCheckRequest(service=name).SerializeToString()
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        codes = {
            who: (await status_of(check(request, **shown)))[0]
            for who, shown in {
                "nobody": {},
                "other": bearing(OTHER),
                "unknown": bearing(new_token()),
                "its own": bearing(ROBOT),
            }.items()
        }
        assert codes == {
            "nobody": grpc.StatusCode.NOT_FOUND,
            "other": grpc.StatusCode.NOT_FOUND,
            "unknown": grpc.StatusCode.UNAUTHENTICATED,
            "its own": grpc.StatusCode.OK,
        }
        watching = watch(request)
        told = health.HealthCheckResponse.FromString(await watching.read())
        assert told.status == health.HealthCheckResponse.SERVICE_UNKNOWN
        watching.cancel()
        await closed(call)
    await calls_ended()


async def test_the_file_is_read_again_when_it_changes(
    settings: Settings, wire: WireClient, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(settings.service.tokens or "")
    assert (await execute(wire, ROBOT)).WhichOneof("outcome") == "result"
    fresh = path.with_suffix(".new")
    fresh.write_text(f'[tokens.other]\nsha256 = "{digest_of(OTHER)}"\n')
    fresh.chmod(0o640)
    os.utime(fresh, (1e9, 1e9))  # it has been written to its end
    os.replace(fresh, path)
    assert (await status_of(execute(wire, ROBOT)))[0] is grpc.StatusCode.UNAUTHENTICATED
    assert (await execute(wire, OTHER)).WhichOneof("outcome") == "result"
    with caplog.at_level(logging.ERROR):
        path.write_text("[tokens.")  # noqa: ASYNC240  # a few bytes
        os.utime(path, (1e9, 1e9))  # not just now, when more might follow
        assert (await execute(wire, OTHER)).WhichOneof("outcome") == "result"
    assert "the tokens stay as they were" in caplog.text


async def test_a_call_keeps_the_rights_that_it_began_with(
    settings: Settings, wire: WireClient
) -> None:
    call = await opened(wire, **bearing(ROBOT))
    path = Path(settings.service.tokens or "")
    path.write_text("[tokens]\n")  # noqa: ASYNC240  # a few bytes
    os.utime(path, (1e9, 1e9))  # not just now, when more might follow
    assert (await status_of(execute(wire, ROBOT)))[0] is grpc.StatusCode.UNAUTHENTICATED
    await call.write(chunk("x"))
    while not (response := await call.read()).HasField("result"):
        continue
    assert response.result.data_outputs["n0"].text.text_data == b"x"
    await closed(call)


async def test_a_file_that_others_may_write_from_now_on_is_told_of(
    settings: Settings, wire: WireClient, caplog: pytest.LogCaptureFixture
) -> None:
    """What is in it holds as it was; whatever is written to it meanwhile does not."""
    path = Path(settings.service.tokens or "")
    caplog.set_level(logging.INFO, logger="penstock.service.callers")
    os.chmod(path, 0o660)
    for _ in range(2):
        assert (await execute(wire, ROBOT)).WhichOneof("outcome") == "result"
    fault = f"service.tokens: {path}: others may write to it; expected chmod go-w"
    assert caplog.messages == [f"the tokens stay as they were: {fault}"]
    os.chmod(path, 0o640)
    assert (await execute(wire, ROBOT)).WhichOneof("outcome") == "result"
    assert caplog.messages[1:] == [f"the tokens have been read again from {path}"]


@pytest.fixture
async def crowded(catalogue: Catalogue) -> AsyncIterator[str]:
    """A service with very tight limits."""
    connections = ConnectionSettings(max_calls=2, max_metadata_bytes=2048, max_sessions_per_peer=1)
    settings = Settings(service=ServiceSettings(connections=connections))
    async with running(settings, "127.0.0.1:0", catalogue) as address:
        yield address
    await calls_ended()


async def opened(wire: WireClient, **options: Any) -> Any:
    call = wire.stream(**options)
    await call.write(init(pipeline("PassThrough")))
    while not (await call.read()).HasField("ready"):
        continue
    return call


async def closed(call: Any) -> None:
    await call.write(CLOSE)
    await rest(call)


async def test_one_call_too_many_is_refused_at_once(crowded: str) -> None:
    async with WireClient(crowded) as wire:
        call = await opened(wire)
        other = wire.stream()
        await other.write(init(pipeline("PassThrough")))
        assert "sessions of this caller: 1 wished, 0 free of 1" in str(await rest(other))
        third = wire.stream()
        await third.write(init(pipeline("PassThrough")))
        fourth = wire.version(execution.VersionRequest())
        assert (await status_of(fourth))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        third.cancel()
        await closed(call)


async def test_a_session_that_does_not_fit_is_none_of_its_callers(crowded: str) -> None:
    async with WireClient(crowded) as wire:
        request = execution.ExecuteRequest(
            manifest=pipeline("EchoNode"), data_inputs={"n0": text("a")}
        )
        request.resource_limits.max_memory_bytes = 1 << 20
        for _ in range(3):
            refused = (await wire.execute(request)).error
            assert "max_memory_bytes" in refused.message
        await closed(await opened(wire))


async def test_a_caller_s_calls_are_bounded_and_others_go_on(
    settings: Settings, catalogue: Catalogue
) -> None:
    connections = ConnectionSettings(max_calls_per_peer=2)
    service = settings.service.model_copy(update={"connections": connections})
    async with (
        running(Settings(service=service), "127.0.0.1:0", catalogue) as address,
        WireClient(address) as wire,
    ):
        first, second = [await opened(wire, **bearing(ROBOT)) for _ in range(2)]
        version = wire.version(execution.VersionRequest(), **bearing(ROBOT))
        info, retry = await reason_of(version)
        assert info.reason == "TOO_MANY_CALLS"
        assert retry.retry_delay.seconds == 1
        assert await version.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await execute(wire, OTHER)).WhichOneof("outcome") == "result"
        await closed(first)
        assert (await execute(wire, ROBOT)).WhichOneof("outcome") == "result"
        await closed(second)
    await calls_ended()


async def test_too_much_metadata_is_refused(crowded: str) -> None:
    async with WireClient(crowded) as wire:
        call = wire.version(execution.VersionRequest(), metadata=(("x", "y" * 4096),))
        assert (await status_of(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await status_of(wire.version(execution.VersionRequest())) == (
            grpc.StatusCode.OK,
            "",
        )
