"""What is admitted can run: limits that the machine can't keep are refused, or lowered."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from wire_client import pipeline, text

from penstock.errors import ConfigurationError
from penstock.executors.multiprocess.kernel import allow_files
from penstock.manifest import Capacity, Settings, capacity, most_files
from penstock.service.fitting import fitted, lowered_in
from penstock.wire.v1 import execution_pb2 as execution

GIB = 1 << 30
MACHINE = Capacity(memory_bytes=4 * GIB, processes=1000, open_files=1024)


def configured(**limits: Any) -> Settings:
    fixed = {"max_shared_memory_bytes": GIB, "max_buffered_bytes": GIB}
    return Settings.model_validate({"limits": fixed | limits})


def test_defaults_that_are_too_high_are_lowered() -> None:
    limits = fitted(configured(), MACHINE).limits
    assert limits.max_sessions == (1024 - 128) // 36
    assert limits.max_processes == 100


def test_the_lowest_bound_holds() -> None:
    few = Capacity(memory_bytes=4 * GIB, processes=60, open_files=1 << 20)
    limits = fitted(configured(), few).limits
    assert (limits.max_processes, limits.max_sessions) == (30, 15)


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (
            MACHINE,
            {
                "limits.max_sessions is lowered from 1000, its default, to 24: "
                "this machine has 1024 open files (ulimit -n)",
                "service.connections.max_connections is lowered from 10000, its default, to 128: "
                "this machine has 1024 open files (ulimit -n), of which 24 sessions have 32 each",
            },
        ),
        (
            Capacity(memory_bytes=4 * GIB, processes=60, open_files=1 << 20),
            {
                "limits.max_processes is lowered from 100, its default, to 30: "
                "this machine has 60 processes (ulimit -u, pids.max)",
                "limits.max_sessions is lowered from 1000, its default, to 15: "
                "this machine has 60 processes (ulimit -u, pids.max)",
            },
        ),
        (Capacity(memory_bytes=4 * GIB, processes=10_000, open_files=1 << 20), set()),
    ],
)
def test_the_operator_is_told_what_was_lowered_and_why(machine: Capacity, said: set[str]) -> None:
    wished = configured()
    assert {str(one) for one in lowered_in(wished, fitted(wished, machine), machine)} == said


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("max_shared_memory_bytes", 4 * GIB + 1, 4 * GIB),
        ("max_buffered_bytes", 4 * GIB + 1, 4 * GIB),
        ("max_node_memory_bytes", 4 * GIB + 1, 4 * GIB),
        ("max_open_files", 1025, 1024),
        ("max_sessions", 28, 27),
        ("max_processes", 501, 500),
    ],
)
def test_what_the_operator_wrote_is_refused_with_the_wish_and_the_limit(
    name: str, value: int, most: int
) -> None:
    assert fitted(configured(**{name: most}), MACHINE)
    with pytest.raises(ConfigurationError) as caught:
        fitted(configured(**{name: value}), MACHINE)
    [fault] = caught.value.faults
    assert fault.path == f"limits.{name}"
    assert f"has room for {most} (" in fault.message
    assert f"got {value}" in fault.message


def test_files_of_each_node_that_no_process_may_have_are_refused() -> None:
    def settings(files: int) -> Settings:
        written = configured().model_dump(exclude_unset=True)
        return Settings.model_validate({**written, "multiprocess": {"open_files": files}})

    assert fitted(settings(1024), MACHINE)
    with pytest.raises(ConfigurationError) as caught:
        fitted(settings(1025), MACHINE)
    has = "this machine has room for 1024 (1024 open files (ulimit -n))"
    assert str(caught.value) == f"multiprocess.open_files: {has}, got 1025"


def with_connections(most: int, **limits: Any) -> Settings:
    written = {"service": {"connections": {"max_connections": most}}}
    return Settings.model_validate(
        {**configured(**limits).model_dump(exclude_unset=True), **written}
    )


def test_connections_have_what_sessions_leave() -> None:
    settings = fitted(configured(), MACHINE)
    assert (settings.limits.max_sessions, settings.service.connections.max_connections) == (24, 128)
    settings = fitted(configured(max_sessions=20), MACHINE)
    assert settings.service.connections.max_connections == 1024 - 128 - 20 * 32
    settings = fitted(with_connections(500), MACHINE)
    assert (settings.limits.max_sessions, settings.service.connections.max_connections) == (12, 500)
    enough = Capacity(memory_bytes=4 * GIB, processes=1 << 20, open_files=1 << 20)
    assert fitted(configured(), enough).service == Settings().service


@pytest.mark.parametrize(
    ("limits", "wished", "most"), [({"max_sessions": 20}, 257, 256), ({}, 865, 864)]
)
def test_connections_that_the_operator_wrote_are_refused(
    limits: dict[str, int], wished: int, most: int
) -> None:
    assert fitted(with_connections(most, **limits), MACHINE)
    with pytest.raises(ConfigurationError) as caught:
        fitted(with_connections(wished, **limits), MACHINE)
    [fault] = caught.value.faults
    assert fault.path == "service.connections.max_connections"
    assert f"has room for {most} beside " in fault.message
    assert f"got {wished}" in fault.message


def test_connections_do_not_take_the_descriptors_of_sessions(tmp_path: Path) -> None:
    """More clients than the service has descriptors connect, and say nothing."""
    files, crowd = 256, 300
    limited = f"ulimit -n {files}; exec {sys.executable} -m penstock serve --bind 127.0.0.1:0"
    log = tmp_path / "log"
    with (
        log.open("w") as err,
        subprocess.Popen(
            ["/bin/sh", "-c", limited], stdout=subprocess.PIPE, stderr=err, text=True
        ) as service,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(service.terminate)
        assert service.stdout is not None
        address = service.stdout.readline().split()[-1]
        channel = stack.enter_context(grpc.insecure_channel(address))
        run = channel.unary_unary(
            "/remotemedia.v1.PipelineExecutionService/ExecutePipeline",
            request_serializer=execution.ExecuteRequest.SerializeToString,
            response_deserializer=execution.ExecuteResponse.FromString,
        )
        request = execution.ExecuteRequest(
            manifest=pipeline("EchoNode"), data_inputs={"n0": text("x")}
        )
        assert run(request).HasField("result")
        host, port = address.rsplit(":", 1)
        for _ in range(crowd):
            stack.enter_context(socket.create_connection((host, int(port))))
        for _ in range(3):
            response = run(request)
            assert response.HasField("result"), response
    assert "service.connections.max_connections is lowered from 10000, its default, to 32: " in (
        log.read_text()
    )


def test_a_service_that_could_admit_nobody_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text("[limits]\nmax_shared_memory_bytes = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "serve", "--bind", "127.0.0.1:0", "--config", config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: limits: not one session could be admitted: shared_memory_bytes: " in done.stderr


def test_a_service_has_as_many_descriptors_as_it_may() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
        allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_hard_limit_above_the_systems_own_is_not_set_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel would refuse that, also to who leaves it as it is."""
    set_limit = Mock()
    monkeypatch.setattr(capacity, "_nr_open", lambda: 256)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    assert most_files() == 256
    allow_files()
    allow_files(100)
    assert [call.args[1] for call in set_limit.mock_calls] == [(256, 256), (100, 256)]


@pytest.mark.parametrize("files", [64, 150])
def test_a_machine_that_has_room_for_no_session_says_of_what(files: int) -> None:
    few = Capacity(memory_bytes=4 * GIB, processes=1000, open_files=files)
    with pytest.raises(ConfigurationError, match=rf"room for none \({files} open files") as told:
        fitted(configured(), few)
    assert [fault.path for fault in told.value.faults] == ["limits.max_sessions"]
