"""The service as a process: its address, its signals, its death."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status
from wire_client import CLOSE, WireClient, chunk, converse, init, kinds, pipeline, rest, text

from penstock.data import ExecutorType
from penstock.errors import ConfigurationError
from penstock.manifest import ExecutorSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.address import parse_address
from penstock.testing.leaks import descendants
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

SERVE = """
import asyncio, sys
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import serve
catalogue = Catalogue.installed().extended("penstock.testing.faults")
settings = Settings.model_validate({"service": {"drain_secs": float(sys.argv[2])}})
asyncio.run(serve(settings, sys.argv[1], catalogue, lambda line: print(line, flush=True)))
"""


@contextlib.asynccontextmanager
async def serving(
    bind: str, drain_s: float = 0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A service in a process of its own, and the address that it told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, bind, str(drain_s), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode().rstrip("\n")
        assert line.startswith("listening on "), line
        yield process, line.removeprefix("listening on ")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def echoed(target: str) -> str:
    async with WireClient(target) as wire:
        request = execution.ExecuteRequest(
            manifest=pipeline("EchoNode"), data_inputs={"n0": text("hello")}
        )
        response = await wire.execute(request)
    return str(response.result.data_outputs["n0"].text.text_data.decode())


async def test_port_0_picks_one_and_the_line_says_which() -> None:
    async with serving("127.0.0.1:0") as (_, address):
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", address)
        assert await echoed(address) == "hello"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_cleanly_with_streams_open(number: signal.Signals) -> None:
    async with serving("127.0.0.1:0") as (process, address), WireClient(address) as wire:
        call = wire.stream()
        await call.write(init(pipeline("hang_in_process")))
        while not (await call.read()).HasField("ready"):
            continue
        await call.write(chunk("x"))
        process.send_signal(number)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_on(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await process.wait() == 0


async def read_on(call: Any) -> None:
    """Until the stream ends or fails."""
    while await call.read() is not grpc.aio.EOF:
        continue


async def read_into(responses: list[streaming.StreamResponse], call: Any) -> None:
    while (response := await call.read()) is not grpc.aio.EOF:
        responses.append(response)


FOREVER_S = 600
"""Longer than any test."""


async def opened(wire: WireClient, *types: str) -> Any:
    call = wire.stream()
    await call.write(init(pipeline(*types)))
    while not (await call.read()).HasField("ready"):
        continue
    return call


async def result(call: Any) -> str:
    while not (response := await call.read()).HasField("result"):
        assert response.WhichOneof("response") in ("progress", "metrics"), response
    [buffer] = response.result.data_outputs.values()
    return str(buffer.text.text_data.decode())


async def refused(wire: WireClient) -> None:
    """Wait until the service takes no session any more, and see how it says so."""
    request = execution.ExecuteRequest(manifest=pipeline("PassThrough"))
    call = wire.execute(request)
    async with asyncio.timeout(10):
        while await call.code() is grpc.StatusCode.OK:
            call = wire.execute(request)
    assert await call.code() is grpc.StatusCode.UNAVAILABLE
    assert await call.details() == "the service is stopping"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_sessions_that_run_may_finish_and_no_other_begins(number: signal.Signals) -> None:
    async with serving("127.0.0.1:0", FOREVER_S) as (process, address), WireClient(address) as wire:
        call = await opened(wire, "PassThrough", "EchoNode")
        process.send_signal(number)
        await refused(wire)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await wire.stream(iter([init(pipeline("PassThrough"))])).read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await wire.version(execution.VersionRequest())).compatible
        await call.write(chunk("still here"))
        assert await result(call) == "still here"
        await call.write(CLOSE)
        assert kinds(await rest(call))[-1] == "closed"
        assert await process.wait() == 0


async def test_a_client_that_is_cut_off_is_told_on_the_stream_and_in_the_status() -> None:
    async with serving("127.0.0.1:0") as (process, address), WireClient(address) as wire:
        call = await opened(wire, "EchoNode")
        process.send_signal(signal.SIGTERM)
        responses: list[streaming.StreamResponse] = []
        with pytest.raises(grpc.aio.AioRpcError):
            await read_into(responses, call)
        assert responses[-1].error.error_type == pb.ERROR_TYPE_INTERNAL
        assert "the service is stopping" in responses[-1].error.message
        status = await rpc_status.aio.from_call(call)
        told = streaming.StreamErrorResponse()
        assert status is not None
        assert status.details[0].Unpack(told)
        assert told.stream_error_type == streaming.STREAM_ERROR_EXECUTION
        assert told.base_error.message == responses[-1].error.message
        assert await process.wait() == 0


async def test_a_second_signal_ends_what_still_runs() -> None:
    async with serving("127.0.0.1:0", FOREVER_S) as (process, address), WireClient(address) as wire:
        call = await opened(wire, "EchoNode")
        process.send_signal(signal.SIGTERM)
        await refused(wire)
        process.send_signal(signal.SIGINT)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rest(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await process.wait() == 0


async def test_what_does_not_finish_in_time_is_ended() -> None:
    async with serving("127.0.0.1:0", 0.2) as (process, address), WireClient(address) as wire:
        call = await opened(wire, "hang_in_process")
        await call.write(chunk("x"))
        process.terminate()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rest(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await process.wait() == 0


async def test_a_unix_socket_is_served_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    async with serving(f"unix:{path}") as (process, address):
        assert address == f"unix:{path}"
        assert await echoed(address) == "hello"
        process.terminate()
        assert await process.wait() == 0
    assert not path.exists()


async def test_a_dead_services_socket_is_taken_over_and_a_living_ones_is_not(
    tmp_path: Path,
) -> None:
    bind = f"unix:{tmp_path / 'service.sock'}"
    async with serving(bind) as (process, _):
        with pytest.raises(ConfigurationError, match="another service listens there"):
            async with running(Settings(), bind, Catalogue.installed()):
                pass
        assert await echoed(bind) == "hello"
        process.kill()
        await process.wait()
    async with serving(bind) as (_, address):
        assert await echoed(address) == "hello"


async def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="no socket"):
        async with running(Settings(), f"unix:{path}", Catalogue.installed()):
            pass
    assert path.read_text() == "mine"


async def test_a_second_service_on_a_port_fails(service: str) -> None:
    with pytest.raises(ConfigurationError, match=service):
        async with running(Settings(), service, Catalogue.installed()):
            pass


async def test_a_port_that_another_program_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        said = "can't be bound: Address already in use; is another service there"
        with pytest.raises(ConfigurationError, match=said):
            async with running(Settings(), bind, Catalogue.installed()):
                pass


@pytest.mark.parametrize(
    ("bind", "said"),
    [
        ("unix:/no/such/folder/x.sock", "No such file or directory"),
        ("unix:/dev/null/x.sock", "Not a directory"),
        ("192.0.2.1:1", "Cannot assign requested address"),  # nobody's: RFC 5737
    ],
)
async def test_what_the_system_says_of_an_address_is_told(bind: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with running(Settings(), bind, Catalogue.installed()):
            pass
    assert str(caught.value) == f"service.bind: {bind}: can't be bound: {said}"


async def test_a_default_executor_that_no_build_has_is_refused() -> None:
    settings = Settings(executors=ExecutorSettings(default=ExecutorType.WASM))
    with pytest.raises(ConfigurationError, match=r"executors\.default: the wasm executor is not"):
        async with running(settings, "127.0.0.1:0", Catalogue.installed()):
            pass


@pytest.mark.parametrize("host", ["256.1.1.1", "no-such-host.invalid", "a..b"])
async def test_a_host_that_there_is_not_is_told(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with running(Settings(), f"{host}:1", Catalogue.installed()):
            pass
    expected = f"the host must be an IP address of this machine, or a name of one, got {host!r}: "
    assert str(caught.value).startswith(f"service.bind: {host}:1: {expected}")


async def test_a_taken_port_is_one_line_and_nothing_of_grpcs(service: str) -> None:
    surroundings = {name: said for name, said in os.environ.items() if name != "GRPC_VERBOSITY"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock", "serve", "--bind", service,
        env=surroundings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    stdout, stderr = await process.communicate()
    assert process.returncode not in (0, None)
    assert stdout == b""
    [line] = stderr.decode().splitlines()
    assert f"{service}: can't be bound" in line


async def test_killed_it_leaves_no_process() -> None:
    """Node processes, supervisor and zygote go with it; pidfds tell when."""
    async with serving("127.0.0.1:0") as (process, address), WireClient(address) as wire:
        call = wire.stream()
        await call.write(init(pipeline("ignore_sigterm", "EchoNode")))
        while not (await call.read()).HasField("ready"):
            continue
        await call.write(chunk("x"))
        below = [one.pid for one in descendants() if one.pid != process.pid]
        assert len(below) >= 4, "a zygote, a supervisor and two nodes"
        pidfds = [os.pidfd_open(pid) for pid in below]
        process.kill()
        try:
            for pidfd in pidfds:
                await exited(pidfd)
        finally:
            for pidfd in pidfds:
                os.close(pidfd)


async def exited(pidfd: int) -> None:
    """Wait until the process behind ``pidfd`` has ended; the issue gives it a second."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        async with asyncio.timeout(1.0):
            await gone.wait()
    finally:
        loop.remove_reader(pidfd)


async def test_calls_after_a_nodes_crash_are_served(service: str) -> None:
    async with WireClient(service) as wire:
        failed = await converse(wire, init(pipeline("segfault_in_process")), chunk("x"))
        error = failed[-1].error
        assert error.failing_node_id == "n0"
        assert error.stack_trace.startswith("Fatal Python error: Segmentation fault")
        assert "in process" in error.stack_trace
    assert await echoed(service) == "hello"


@pytest.mark.parametrize(
    "bind", ["", "localhost", ":50051", "host:port", "host:65536", "::1:50051", "unix:", "h:-1"]
)
def test_an_address_that_is_none_is_refused(bind: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_address(bind)
    assert caught.value.faults[0].path == "service.bind"


def test_a_socket_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="107 bytes"):
        parse_address("unix:/" + "x" * 108)


def test_ipv6_keeps_its_brackets() -> None:
    assert parse_address("[::1]:0").at_port(50051).text == "[::1]:50051"


FROZEN = """
import asyncio, gc, os, signal
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import serve

def announced(line):
    print(gc.get_freeze_count(), len(gc.get_objects()))
    os.kill(os.getpid(), signal.SIGTERM)

asyncio.run(serve(Settings(), "127.0.0.1:0", Catalogue.installed(), announced))
"""


async def test_what_is_there_at_the_start_is_not_collected_again_and_again() -> None:
    """That would stop all calls for a while."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FROZEN, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    frozen, others = map(int, said.split())
    assert frozen > 10 * others
