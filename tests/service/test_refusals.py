"""What becomes of a call that isn't let in: at its client, and in the log."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import grpc
import pytest
from bearers import ROBOT, bearing, reason_of, status_of, written
from wire_client import CLOSE, WireClient, init, pipeline, rest

from penstock.manifest import ConnectionSettings, ServiceSettings, Settings, new_token
from penstock.service import refusal, rpc
from penstock.wire.v1 import execution_pb2 as execution


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    tokens = written(tmp_path / "tokens.toml", 'methods = ["Check"]')
    return Settings(service=ServiceSettings(tokens=str(tokens)))


async def test_programs_are_told_why_they_are_refused(wire: WireClient) -> None:
    request = execution.VersionRequest()
    for metadata, reason in (
        ({}, "TOKEN_REQUIRED"),
        (bearing(new_token()), "TOKEN_UNKNOWN"),
        (bearing(ROBOT), "METHOD_NOT_ALLOWED"),
    ):
        [info] = await reason_of(wire.version(request, **metadata))
        assert (info.reason, info.domain) == (reason, "penstock")


async def test_a_refused_request_is_not_read(service: str) -> None:
    """The body is no message at all, and far longer than a message may be."""
    async with grpc.aio.insecure_channel(service) as channel:
        call: Any = channel.unary_unary("/remotemedia.v1.PipelineExecutionService/ExecutePipeline")
        assert (await status_of(call(b"\xff" * (80 << 20))))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_refusal_waits_for_the_first_message(
    wire: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that comes after the end is INTERNAL to grpc.aio, whatever the call ended with."""
    monkeypatch.setattr(rpc.call, "HOLD_S", 1.0)
    call = wire.stream()
    await call.wait_for_connection()
    await asyncio.sleep(0.1)  # both on one loop: the earlier of the two times comes first
    await call.write(init(pipeline("PassThrough")))
    assert (await status_of(call.read()))[0] is grpc.StatusCode.UNAUTHENTICATED


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="penstock.service.call_log")
    return caplog


async def test_a_refusal_is_one_line_without_the_token(
    wire: WireClient, log: pytest.LogCaptureFixture
) -> None:
    unknown = new_token()
    for metadata in ({}, bearing(unknown), bearing(ROBOT)):
        await status_of(wire.version(execution.VersionRequest(), **metadata))
    assert [record.getMessage() for record in log.records] == [
        "GetVersion was refused: expected metadata 'authorization: Bearer …'",
        "GetVersion was refused: the token is not known",
        "GetVersion was refused: token robot may not call GetVersion",
    ]
    about = [(vars(record)["reason"], vars(record)["method"]) for record in log.records]
    assert about == [
        (reason, "GetVersion")
        for reason in ("TOKEN_REQUIRED", "TOKEN_UNKNOWN", "METHOD_NOT_ALLOWED")
    ]
    assert all(vars(record)["peer"].startswith("ipv4:127.0.0.1:") for record in log.records)
    assert not any(
        token in str(vars(record)) for token in (unknown, ROBOT) for record in log.records
    )


async def test_a_flood_of_refusals_is_a_few_lines(
    wire: WireClient, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have none are counted by the next one."""
    monkeypatch.setattr(refusal, "LINES_AT_ONCE", 2)
    monkeypatch.setattr(refusal, "LINE_S", 1e9)  # longer than any machine has been up
    request = execution.VersionRequest()
    await asyncio.gather(*(status_of(wire.version(request)) for _ in range(10)))
    assert len(log.records) == 2
    monkeypatch.setattr(refusal, "LINE_S", 0.0)
    log.clear()
    await status_of(wire.version(request))
    assert log.messages[0].startswith("GetVersion was refused (and 8 calls before it): ")


async def test_a_long_name_of_no_method_is_cut(service: str, log: pytest.LogCaptureFixture) -> None:
    async with grpc.aio.insecure_channel(service) as channel:
        await status_of(channel.unary_unary(f"/no.Service/{'x' * 5000}")(b""))
    [record] = log.records
    assert len(record.getMessage()) < 600
    assert len(vars(record)["method"]) == 100


class TestWithRoomForOneCall:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(service=ServiceSettings(connections=ConnectionSettings(max_calls=1)))

    async def test_one_too_many_of_all_is_told_and_logged_like_any_other(
        self, wire: WireClient, log: pytest.LogCaptureFixture
    ) -> None:
        call = wire.stream()
        await call.write(init(pipeline("PassThrough")))
        while not (await call.read()).HasField("ready"):
            continue
        info, retry = await reason_of(wire.version(execution.VersionRequest()))
        assert (info.reason, info.domain) == ("TOO_MANY_CALLS", "penstock")
        assert retry.retry_delay.seconds == 1
        said = "GetVersion was refused: the service has too many calls (max_calls)"
        assert log.messages == [said]
        assert vars(log.records[0])["reason"] == "TOO_MANY_CALLS"
        await call.write(CLOSE)
        await rest(call)
