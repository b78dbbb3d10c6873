"""What is admitted can run: limits that the machine can't keep are refused, or lowered."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ConfigurationError
from penstock.manifest import Capacity, Settings
from penstock.service.fitting import allow_all_files, fitted

GIB = 1 << 30
MACHINE = Capacity(memory_bytes=4 * GIB, processes=1000, open_files=1024)


def configured(**limits: Any) -> Settings:
    fixed = {"max_shared_memory_bytes": GIB, "max_buffered_bytes": GIB}
    return Settings.model_validate({"limits": fixed | limits})


def test_defaults_that_are_too_high_are_lowered() -> None:
    limits = fitted(configured(), MACHINE).limits
    assert limits.max_sessions == (1024 - 128) // 32
    assert limits.max_processes == 100


def test_the_lowest_bound_holds() -> None:
    few = Capacity(memory_bytes=4 * GIB, processes=60, open_files=1 << 20)
    limits = fitted(configured(), few).limits
    assert (limits.max_processes, limits.max_sessions) == (30, 15)


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [
        ("max_shared_memory_bytes", 4 * GIB + 1, 4 * GIB),
        ("max_buffered_bytes", 4 * GIB + 1, 4 * GIB),
        ("max_node_memory_bytes", 4 * GIB + 1, 4 * GIB),
        ("max_open_files", 1025, 1024),
        ("max_sessions", 29, 28),
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
        allow_all_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("files", [64, 150])
def test_a_machine_that_has_room_for_no_session_says_of_what(files: int) -> None:
    few = Capacity(memory_bytes=4 * GIB, processes=1000, open_files=files)
    with pytest.raises(ConfigurationError, match=rf"room for none \({files} open files") as told:
        fitted(configured(), few)
    assert [fault.path for fault in told.value.faults] == ["limits.max_sessions"]
