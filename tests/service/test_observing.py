"""Who watches a service hears of its calls and sessions, and can't hurt them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from wire_client import (
    CLOSE,
    WireClient,
    calls_ended,
    chunk,
    converse,
    init,
    kinds,
    pipeline,
    rest,
    text,
)

from penstock.errors import NodeExecutionError, ResourceLimitError, UnknownNodeError
from penstock.manifest import Limits, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.session import Session, SessionMetrics
from penstock.session.observing import Metadata, ServiceView
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import health_pb2 as health

STREAM = "/remotemedia.v1.StreamingPipelineService/StreamPipeline"
EXECUTE = "/remotemedia.v1.PipelineExecutionService/ExecutePipeline"
HEALTH = "/grpc.health.v1.Health/"


class Call:
    def __init__(self, watcher: Watcher, method: str) -> None:
        self._watcher = watcher
        self._method = method

    def ended(self, code: str) -> None:
        self._watcher.calls.append((self._method, code))
        self._watcher.heard.set()


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.metadata: list[Metadata] = []
        self.ended: list[tuple[Session, SessionMetrics]] = []
        self.refused: list[str] = []
        self.heard = asyncio.Event()
        self.view: ServiceView | None = None

    @contextlib.asynccontextmanager
    async def watching(self, view: ServiceView) -> AsyncIterator[None]:
        self.view = view
        yield
        self.view = None

    def call_began(self, method: str, metadata: Metadata) -> Call:
        self.metadata.append(metadata)
        return Call(self, method)

    def spans_of(self, *_: Any) -> None:
        return None

    def session_ended(self, session: Session, metrics: SessionMetrics) -> None:
        self.ended.append((session, metrics))
        self.heard.set()

    def session_refused(self, session_id: str) -> None:
        self.refused.append(session_id)

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not true():
                self.heard.clear()
                await self.heard.wait()


@contextlib.asynccontextmanager
async def watched(watcher: Any, settings: Settings | None = None) -> AsyncIterator[WireClient]:
    catalogue = Catalogue.installed().extended("penstock.testing.faults")
    serving = running(settings or Settings(), "127.0.0.1:0", catalogue, watcher)
    async with serving as address, WireClient(address) as wire:
        yield wire
    await calls_ended()


def unary(wire: WireClient, path: str) -> Any:
    return wire._channel.unary_unary(path, response_deserializer=bytes)


async def test_every_call_is_told_by_its_method_and_what_it_ends_with() -> None:
    watcher = Watcher()
    async with watched(watcher) as wire:
        await converse(wire, init(pipeline("PassThrough")), chunk("x"), CLOSE)
        await wire.version(execution.VersionRequest(), metadata=(("traceparent", "00-1"),))
        unknown = health.HealthCheckRequest(service="nobody").SerializeToString()
        for path, request in ((HEALTH + "Check", unknown), ("/made.Up/AsILike", b"")):
            with pytest.raises(grpc.RpcError):
                await unary(wire, path)(request)
    assert watcher.calls == [
        (STREAM, "OK"),
        ("/remotemedia.v1.PipelineExecutionService/GetVersion", "OK"),
        (HEALTH + "Check", "NOT_FOUND"),
        ("other", "UNIMPLEMENTED"),
    ]
    assert ("traceparent", "00-1") in watcher.metadata[1]
    assert watcher.view is None


async def test_a_call_that_is_one_too_many_of_all_is_told_too() -> None:
    watcher = Watcher()
    settings = Settings.model_validate({"service": {"connections": {"max_calls": 1}}})
    async with watched(watcher, settings) as wire:
        call = wire.stream()
        await call.write(init(pipeline("PassThrough")))
        while not (await call.read()).HasField("ready"):
            continue
        for path in ("/remotemedia.v1.PipelineExecutionService/GetVersion", "/made.Up/AsILike"):
            with pytest.raises(grpc.RpcError):
                await unary(wire, path)(b"")
        await call.write(CLOSE)
        await rest(call)
    assert watcher.calls == [
        ("/remotemedia.v1.PipelineExecutionService/GetVersion", "RESOURCE_EXHAUSTED"),
        ("other", "RESOURCE_EXHAUSTED"),
        (STREAM, "OK"),
    ]


async def test_a_session_whose_client_leaves_as_it_is_ended_is_kept_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its caller has it until it is gone, and then it counts, as what it has failed with."""
    watcher, close = Watcher(), Session.aclose
    closing, go_on = asyncio.Event(), asyncio.Event()

    async def close_later(session: Session) -> None:
        closing.set()
        await go_on.wait()
        await close(session)

    monkeypatch.setattr(Session, "aclose", close_later)
    async with watched(watcher) as wire:
        inputs = {"nobody": text("x")}
        request = execution.ExecuteRequest(manifest=pipeline("EchoNode"), data_inputs=inputs)
        call = wire.execute(request)
        await closing.wait()
        call.cancel()
        await watcher.until(lambda: watcher.calls)
        assert watcher.view is not None
        assert len(watcher.view.sessions) == 1
        go_on.set()
        await watcher.until(lambda: watcher.ended)
    [(session, _)] = watcher.ended
    assert isinstance(session.failure, UnknownNodeError)


async def test_a_call_that_its_client_gives_up_ends_so() -> None:
    watcher = Watcher()
    async with watched(watcher) as wire:
        call = wire.stream()
        await call.write(init(pipeline("EchoNode")))
        while not (await call.read()).HasField("ready"):
            continue
        assert watcher.view is not None
        assert len(watcher.view.sessions) == 1
        call.cancel()
        await watcher.until(lambda: watcher.calls and watcher.ended)
        assert not watcher.view.sessions
    assert watcher.calls == [(STREAM, "CANCELLED")]


async def test_a_session_is_told_once_when_it_is_gone_with_all_that_it_counted() -> None:
    watcher = Watcher()
    async with watched(watcher) as wire:
        await converse(wire, init(pipeline("EchoNode")), chunk("x"), chunk("y"), CLOSE)
        await converse(wire, init(pipeline("raise_in_process")), chunk("x"), CLOSE)
        await watcher.until(lambda: len(watcher.ended) == 2)
    (well, metrics), (failed, _) = watcher.ended
    assert well.failure is None
    assert metrics.nodes["n0"].items_processed == 2
    assert isinstance(failed.failure, NodeExecutionError)


async def test_one_that_was_refused_has_never_been() -> None:
    watcher = Watcher()
    settings = Settings(limits=Limits(max_sessions=1))
    async with watched(watcher, settings) as wire:
        call = wire.stream()
        await call.write(init(pipeline("PassThrough")))
        while not (await call.read()).HasField("ready"):
            continue
        manifest = pipeline("PassThrough")
        answer = await wire.execute(
            execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": text("x")})
        )
        assert answer.error.message.startswith("sessions: 1 wished, 0 free")
        assert watcher.view is not None
        assert watcher.view.budget.refusals == {"sessions": 1}
        assert (watcher.ended, len(watcher.refused)) == ([], 1)
        assert watcher.calls == [(EXECUTE, "OK")]
        await call.write(CLOSE)
        await rest(call)


class Broken:
    """Raises whenever it is told something."""

    def __init__(self, *, at_the_end: bool = False) -> None:
        self._at_the_end = at_the_end

    @contextlib.asynccontextmanager
    async def watching(self, _: ServiceView) -> AsyncIterator[None]:
        yield

    def call_began(self, *_: Any) -> Any:
        if self._at_the_end:
            return self
        raise ValueError("no calls today")

    def ended(self, _: str) -> None:
        raise ValueError("it never ends")

    def spans_of(self, *_: Any) -> Any:
        raise ValueError("no spans today")

    def session_ended(self, *_: Any) -> None:
        raise ValueError("no sessions today")

    session_refused = session_ended


@pytest.mark.parametrize("at_the_end", [False, True])
async def test_an_observer_that_raises_changes_nothing(
    at_the_end: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(Broken(at_the_end=at_the_end)) as wire:
        responses = await converse(wire, init(pipeline("EchoNode")), chunk("x"), CLOSE)
        assert kinds(responses)[-2:] == ["result", "closed"]
        call = wire.stream()
        await call.write(init(pipeline("raise_in_process")))
        await call.write(chunk("x"))
        assert kinds(await rest(call))[-1] == "error"
    assert "an observer failed" in caplog.text


class Refusing(Watcher):
    """Can't be what the operator wants."""

    @contextlib.asynccontextmanager
    async def watching(self, _: ServiceView) -> AsyncIterator[None]:
        raise ResourceLimitError("ports", wished=1, free=0, limit=0)
        yield


async def test_an_observer_that_can_not_begin_is_the_operators_affair() -> None:
    with pytest.raises(ResourceLimitError):
        async with watched(Refusing()):
            pass


async def test_it_hears_of_what_ends_with_the_service() -> None:
    watcher = Watcher()
    async with watched(watcher) as wire:
        call = wire.stream()
        await call.write(init(pipeline("EchoNode")))
        while not (await call.read()).HasField("ready"):
            continue
    assert watcher.calls == [(STREAM, "CANCELLED")]
    assert [session.plan.order for session, _ in watcher.ended] == [("n0",)]
