"""What the operator reads of calls that failed."""

from __future__ import annotations

import asyncio
import logging

import pytest
from wire_client import CLOSE, WireClient, chunk, converse, init, pipeline, text

from penstock.errors import InputError, NodeExitedError, PenstockError, ResourceLimitError
from penstock.service.call_log import CallLog
from penstock.wire.v1 import execution_pb2 as execution

NODE_FAILURE = "failed: node 'n0': process raised ValueError: can't digest input 1"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="penstock.service")
    return caplog


def said(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in log.records]


async def test_a_failed_stream_is_one_line_with_its_session(
    wire: WireClient, log: pytest.LogCaptureFixture
) -> None:
    responses = await converse(wire, init(pipeline("raise_in_process")), chunk("x"), CLOSE)
    session_id = next(r.ready.session_id for r in responses if r.HasField("ready"))
    assert said(log) == [("WARNING", f"StreamPipeline (session {session_id}) {NODE_FAILURE}")]


async def test_a_failed_execution_is_one_line_with_its_session(
    wire: WireClient, log: pytest.LogCaptureFixture
) -> None:
    manifest = pipeline("raise_in_process")
    await wire.execute(execution.ExecuteRequest(manifest=manifest, data_inputs={"n0": text("x")}))
    [(level, line)] = said(log)
    assert level == "WARNING"
    assert line.startswith("ExecutePipeline (session ")
    assert line.endswith(NODE_FAILURE)


async def test_a_refused_manifest_is_no_warning(
    wire: WireClient, log: pytest.LogCaptureFixture
) -> None:
    manifest = pipeline("PassTrough", "EchoNod")
    await wire.execute(execution.ExecuteRequest(manifest=manifest))
    await converse(wire, init(manifest))
    assert [level for level, _ in said(log)] == ["INFO", "INFO"]
    (_, executed), (_, streamed) = said(log)
    assert executed.startswith("ExecutePipeline failed: nodes[0].node_type: ")
    assert streamed.startswith("StreamPipeline failed: nodes[0].node_type: ")


async def test_a_call_that_its_client_gives_up_is_one_line(
    wire: WireClient, log: pytest.LogCaptureFixture
) -> None:
    call = wire.stream()
    await call.write(init(pipeline("EchoNode")))
    while not (response := await call.read()).HasField("ready"):
        continue
    heard = asyncio.Event()
    log.handler.addFilter(lambda _record: heard.set() or True)
    call.cancel()
    async with asyncio.timeout(10):
        await heard.wait()
    line = f"StreamPipeline (session {response.ready.session_id}) was given up by its client"
    assert said(log) == [("INFO", line)]


async def test_a_call_that_ends_well_is_no_line(
    wire: WireClient, log: pytest.LogCaptureFixture
) -> None:
    await converse(wire, init(pipeline("EchoNode")), chunk("x"), CLOSE)
    assert said(log) == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ResourceLimitError("processes", wished=3, free=1, limit=10), "processes: 3 wished, "),
        (NodeExitedError("n0", pid=7, exit_code=3, stderr="a\nb"), "node 'n0': its process 7 "),
        (InputError("no node 'a\r\u2028WARNING x'"), "no node 'a"),
        (InputError("no node '\x1b[2J'"), "no node '\ufffd[2J'"),
        (InputError(""), "InputError"),
        (InputError("x" * 10_000), "x" * 100),
    ],
)
def test_whatever_was_said_it_stays_one_short_line(
    log: pytest.LogCaptureFixture, error: PenstockError, line: str
) -> None:
    CallLog("StreamPipeline").failed(error)
    [(_, written)] = said(log)
    assert written.startswith(f"StreamPipeline failed: {line}")
    assert written.isprintable()
    assert len(written) < 600


def test_what_nobody_foresaw_has_its_traceback(log: pytest.LogCaptureFixture) -> None:
    CallLog("StreamPipeline").failed(KeyError("n0"))
    assert [level for level, _ in said(log)] == ["ERROR"]
    assert "KeyError: 'n0'" in log.text
