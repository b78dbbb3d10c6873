from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.data import ExecutorType
from penstock.errors import ConfigurationError
from penstock.manifest import (
    Manifest,
    ManifestError,
    Settings,
    load_settings,
    parse_manifest,
    resolve_configuration,
)


def manifest(**multiprocess: Any) -> Manifest:
    return parse_manifest(
        {
            "version": "v1",
            "metadata": {"name": "x", "multiprocess": multiprocess},
            "nodes": [{"id": "a", "node_type": "T"}, {"id": "T", "node_type": "U"}],
        }
    )


def faults(written: Manifest, settings: Settings, *, trusted: bool = True) -> dict[str, str]:
    with pytest.raises(ManifestError) as caught:
        resolve_configuration(written, settings, trusted=trusted)
    return {fault.path: str(fault) for fault in caught.value.faults}


def test_defaults() -> None:
    found = resolve_configuration(manifest(), Settings(), trusted=False)
    assert found.max_processes_per_session == 10
    assert found.channel_capacity == 100
    assert found.init_timeout_secs == 30
    assert found.stall_timeout_secs == 10
    assert found.enable_backpressure is True
    assert found.verify is False
    assert found.process_timeout_secs is None
    assert found.drop_policy == "newest"
    assert found.max_message_bytes == 16 << 20
    assert (found.node_memory_bytes, found.open_files) == (None, None)
    assert found.buffered_bytes == 32 << 20
    assert found.python_executable == Path(sys.executable)
    assert not found.executor_overrides


def test_the_manifest_goes_before_the_settings_and_those_before_the_defaults() -> None:
    settings = Settings.model_validate(
        {
            "multiprocess": {
                "channel_capacity": 7,
                "enable_backpressure": False,
                "verify": True,
                "process_timeout_secs": 2.5,
            }
        }
    )
    written = manifest(channel_capacity=3, verify=False)
    found = resolve_configuration(written, settings, trusted=True)
    assert (found.channel_capacity, found.enable_backpressure, found.verify) == (3, False, False)
    assert found.init_timeout_secs == 30
    assert found.process_timeout_secs == 2.5


@pytest.mark.parametrize(("wished", "given"), [(None, 5), (5, 5), (0, 0)])
def test_the_process_limit_is_the_smaller_one(wished: int | None, given: int) -> None:
    settings = Settings.model_validate({"limits": {"max_processes": 5}})
    assert resolve_configuration(manifest(), settings, trusted=True).max_processes_per_session == 5
    written = manifest(max_processes_per_session=wished)
    found = resolve_configuration(written, settings, trusted=True)
    assert found.max_processes_per_session == given


def test_no_own_process_limit_leaves_the_services() -> None:
    written = manifest(max_processes_per_session=None)
    assert resolve_configuration(written, Settings(), trusted=True).max_processes_per_session == 100


def test_limits_of_the_service_hold_for_the_manifest() -> None:
    settings = Settings.model_validate({"limits": {"max_processes": 5, "max_message_bytes": 100}})
    found = faults(manifest(max_processes_per_session=6, max_message_bytes=101), settings)
    assert set(found) == {
        "metadata.multiprocess.max_processes_per_session",
        "metadata.multiprocess.max_message_bytes",
    }
    assert "5" in found["metadata.multiprocess.max_processes_per_session"]


def test_a_nodes_limits_are_the_manifests_wish_within_the_operators() -> None:
    limits = {"max_node_memory_bytes": 256 << 20, "max_open_files": 256}
    settings = Settings.model_validate({"limits": limits, "multiprocess": {"open_files": 128}})
    found = resolve_configuration(manifest(), settings, trusted=False)
    assert (found.node_memory_bytes, found.open_files) == (256 << 20, 128)
    found = resolve_configuration(
        manifest(node_memory_bytes=64 << 20, open_files=256), settings, trusted=False
    )
    assert (found.node_memory_bytes, found.open_files) == (64 << 20, 256)
    wrong = faults(manifest(node_memory_bytes=(256 << 20) + 1, open_files=257), settings)
    assert "limit of 268435456, got 268435457" in wrong["metadata.multiprocess.node_memory_bytes"]
    assert "limit of 256, got 257" in wrong["metadata.multiprocess.open_files"]


def test_overrides_name_a_node_or_a_type_of_the_manifest() -> None:
    found = resolve_configuration(
        manifest(executor_overrides={"a": "native", "U": "wasm"}), Settings(), trusted=True
    )
    assert found.executor_overrides == {"a": ExecutorType.NATIVE, "U": ExecutorType.WASM}
    wrong = faults(manifest(executor_overrides={"aa": "native"}), Settings())
    assert "did you mean 'a'?" in wrong["metadata.multiprocess.executor_overrides.aa"]


def test_a_stranger_may_name_an_interpreter_but_give_no_path() -> None:
    settings = Settings.model_validate({"interpreters": {"other": sys.executable}})
    for name in ("python", "other"):
        found = resolve_configuration(manifest(python_executable=name), settings, trusted=False)
        assert found.python_executable == Path(sys.executable)
    for path in (sys.executable, "sh", "../python"):
        wrong = faults(manifest(python_executable=path), settings, trusted=False)
        message = wrong["metadata.multiprocess.python_executable"]
        assert "other, python" in message


def test_a_stranger_does_not_learn_where_an_interpreter_lies() -> None:
    settings = Settings.model_validate({"interpreters": {"old": "/secret/python"}})
    wrong = faults(manifest(python_executable="old"), settings, trusted=False)
    assert "'old'" in wrong["metadata.multiprocess.python_executable"]
    assert "secret" not in str(wrong)


def test_the_user_may_give_a_path_or_a_name_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "mypython"
    link.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for text in (str(link), "mypython"):
        found = resolve_configuration(manifest(python_executable=text), Settings(), trusted=True)
        assert found.python_executable == link


def test_an_interpreter_must_be_an_executable_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    for text in (str(plain), str(tmp_path), str(tmp_path / "none"), "no-such-program", "a\0b"):
        wrong = faults(manifest(python_executable=text), Settings())
        assert list(wrong) == ["metadata.multiprocess.python_executable"]


def test_the_table_goes_before_path() -> None:
    settings = Settings.model_validate({"interpreters": {"sh": sys.executable}})
    found = resolve_configuration(manifest(python_executable="sh"), settings, trusted=True)
    assert found.python_executable == Path(sys.executable)


def settings_faults(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "penstock.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    return {fault.path: str(fault) for fault in caught.value.faults}


def test_settings_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(
        f"""
        [executors]
        default = "native"
        mappings = {{ WhisperNode = "multiprocess" }}
        patterns = [
            {{ pattern = "^Fast", executor = "native", priority = 5 }},
            {{ suffix = "Wasm", executor = "wasm", priority = 6 }},
        ]
        [multiprocess]
        channel_capacity = 50
        [limits]
        max_processes = 20
        [interpreters]
        other = "{sys.executable}"
        [service]
        bind = "unix:/run/penstock"
        """
    )
    settings = load_settings(path)
    assert settings.executors.default is ExecutorType.NATIVE
    assert settings.executors.mappings == {"WhisperNode": ExecutorType.MULTIPROCESS}
    assert [rule.priority for rule in settings.executors.patterns] == [5, 6]
    assert settings.multiprocess.channel_capacity == 50
    assert settings.limits.max_processes == 20
    assert settings.service.bind == "unix:/run/penstock"


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None)
    assert settings.limits.max_processes == 100
    assert settings.limits.max_message_bytes == 64 << 20
    assert settings.limits.max_shared_memory_bytes > 1 << 20
    assert settings.service.bind == "127.0.0.1:50051"


def test_every_fault_of_the_settings_is_reported(tmp_path: Path) -> None:
    found = settings_faults(
        tmp_path,
        """
        [executor]
        [executors]
        default = "natve"
        patterns = [{ executor = "native", priority = -1 }]
        [limits]
        max_proceses = 3
        [multiprocess]
        channel_capacity = 0
        """,
    )
    assert "did you mean 'executors'?" in found["executor"]
    assert "did you mean 'max_processes'?" in found["limits.max_proceses"]
    assert {
        "executors.default",
        "executors.patterns[0].priority",
        "multiprocess.channel_capacity",
    } < set(found)


@pytest.mark.parametrize("both", ["", 'pattern = "a", suffix = "b", '])
def test_a_rule_needs_a_pattern_or_a_suffix(tmp_path: Path, both: str) -> None:
    rule = f'[executors]\npatterns = [{{ {both}executor = "native", priority = 1 }}]\n'
    assert "either pattern or suffix" in settings_faults(tmp_path, rule)["executors.patterns[0]"]


def test_the_operators_own_limits_and_interpreters_are_checked(tmp_path: Path) -> None:
    found = settings_faults(
        tmp_path,
        """
        [limits]
        max_processes = 5
        [multiprocess]
        max_processes_per_session = 6
        python_executable = "no-such-program"
        [interpreters]
        old = "/no/such/python"
        """,
    )
    assert set(found) == {
        "multiprocess.max_processes_per_session",
        "multiprocess.python_executable",
        "interpreters.old",
    }


def test_limits_that_cant_be_met_are_refused_with_the_limit_and_the_wish(tmp_path: Path) -> None:
    found = settings_faults(
        tmp_path,
        """
        [limits]
        max_shared_memory_bytes = 1000
        max_shared_memory_bytes_per_session = 1001
        max_buffered_bytes = 3_000_000
        max_buffered_bytes_per_session = 3_000_001
        max_node_memory_bytes = 100_000_000
        max_open_files = 100
        [multiprocess]
        node_memory_bytes = 100_000_001
        open_files = 101
        """,
    )
    assert found == {
        f"{path}": f"{path}: must be at most {limit}, which is {most}, got {most + 1}"
        for path, limit, most in (
            (
                "limits.max_shared_memory_bytes_per_session",
                "limits.max_shared_memory_bytes",
                1000,
            ),
            ("limits.max_buffered_bytes_per_session", "limits.max_buffered_bytes", 3_000_000),
            (
                "multiprocess.node_memory_bytes",
                "limits.max_node_memory_bytes",
                100_000_000,
            ),
            ("multiprocess.open_files", "limits.max_open_files", 100),
        )
    }


@pytest.mark.parametrize("value", [-1, 0, 1 << 63, 1.5, "'many'", "true"])
@pytest.mark.parametrize("name", ["max_processes", "max_sessions", "max_open_files"])
def test_negative_and_absurd_limits_are_refused(tmp_path: Path, name: str, value: object) -> None:
    written = str(value).lower() if isinstance(value, bool) else str(value)
    found = settings_faults(tmp_path, f"[limits]\n{name} = {written}\n")
    assert list(found) in ([f"limits.{name}"], [""])  # TOML itself has no integer of 64 bits


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        ("collector:4317", "'collector:4317'"),
        ("me:hush@collector:4317", "'collector:4317'"),
        ("grpc://collector:4317", "'grpc://collector:4317'"),
        ("http://", "'http://'"),
        ("http://:4317", "'http://:4317'"),
        ("", "''"),
    ],
)
def test_where_traces_go_says_how(tmp_path: Path, endpoint: str, found: str) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(f'[telemetry.traces]\nendpoint = "{endpoint}"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    expected = "must be http://HOST:PORT or https://HOST:PORT"
    assert str(caught.value) == f"telemetry.traces.endpoint: {expected}, got {found}"


def test_a_node_has_room_to_start(tmp_path: Path) -> None:
    found = settings_faults(tmp_path, "[limits]\nmax_node_memory_bytes = 1\nmax_open_files = 3\n")
    assert set(found) == {"limits.max_node_memory_bytes", "limits.max_open_files"}


def test_what_is_no_toml_is_refused(tmp_path: Path) -> None:
    assert "is not TOML" in settings_faults(tmp_path, "[limits\n")[""]
    with pytest.raises(ConfigurationError, match="can't be read"):
        load_settings(tmp_path / "none.toml")


def test_a_relative_path_is_said_as_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("penstock.toml").write_text('[service]\ntokens = "tokens.toml"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings("penstock.toml")
    said = f"service.tokens: must be a file, got {tmp_path / 'tokens.toml'}"
    assert str(caught.value) == said
