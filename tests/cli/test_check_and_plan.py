"""``check`` and ``plan``: pure commands, called in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.cli.main import main
from penstock.manifest import Capacity

EXAMPLES = Path(__file__).parents[2] / "examples"
ASSISTANT = str(EXAMPLES / "voice_assistant.json")


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.yaml"
    path.write_text(
        "version: v1\n"
        "nodes:\n"
        "  - {id: a, node_type: PasThrough, runtime_hint: AUTO}\n"
        "  - {id: b, node_type: AudioChunkerNode, params: {chunk_size: 0}}\n"
        "connections:\n"
        "  - {from: b, to: c}\n"
    )
    return str(path)


def test_a_good_manifest_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", ASSISTANT]) == 0
    assert capsys.readouterr().out == f"{ASSISTANT}: ok\n"


def test_a_good_manifest_is_ok_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", ASSISTANT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "errors": [], "warnings": []}


def test_every_fault_has_a_line_on_stderr(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", broken]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: nodes[0].node_type: " in err
    assert "did you mean 'PassThrough'?" in err
    assert "error: nodes[1].params.chunk_size: " in err
    assert "error: connections[0].to: " in err
    assert "warning: nodes[0].runtime_hint: " in err


def test_every_fault_is_in_the_json(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", broken, "--json"]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out)
    assert report["ok"] is False
    assert [fault["path"] for fault in report["errors"]] == [
        "nodes[0].node_type",
        "nodes[1].params.chunk_size",
        "connections[0].to",
    ]
    assert report["errors"][0]["suggestion"] == "PassThrough"
    assert [fault["path"] for fault in report["warnings"]] == ["nodes[0].runtime_hint"]
    assert all(fault["message"] for fault in report["errors"] + report["warnings"])


@pytest.mark.parametrize("command", ["check", "plan", "run"])
def test_a_missing_manifest_is_wrong_input(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "/no/such/file.json"]) == 2
    assert "/no/such/file.json' can't be read: No such file" in capsys.readouterr().err


def test_own_nodes_and_configuration_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "gain.json"
    manifest.write_text('{"version": "v1", "nodes": [{"id": "g", "node_type": "Gain"}]}')
    config = tmp_path / "penstock.toml"
    config.write_text('[executors.mappings]\nGain = "native"\n')
    assert main(["check", str(manifest)]) == 2
    assert "no node type is called 'Gain'; nodes of your own are offered with --nodes" in (
        capsys.readouterr().err
    )
    nodes = ["--nodes", str(EXAMPLES / "gain_node.py")]
    assert main(["plan", str(manifest), "--json", *nodes, "--config", str(config)]) == 0
    [[node]] = json.loads(capsys.readouterr().out)["stages"]
    assert node == {
        "node_id": "g",
        "node_type": "Gain",
        "executor": "native",
        "reason": "explicit mapping (configuration)",
        "params": {},
    }


def test_a_wrong_configuration_is_wrong_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text("[limits]\nmax_proceses = 3\n")
    assert main(["check", ASSISTANT, "--config", str(config)]) == 2
    assert "did you mean 'max_processes'?" in capsys.readouterr().err


def test_the_plan_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", ASSISTANT, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert list(plan) == [
        "stages",
        "edges",
        "bridges",
        "dependency_graph",
        "estimated_duration_ms",
    ]
    executors = {node["node_id"]: node["executor"] for stage in plan["stages"] for node in stage}
    assert executors["vad"] == "native"
    assert executors["asr"] == "multiprocess"
    assert [[node["node_id"] for node in stage] for stage in plan["stages"]][:3] == [
        ["chunker"],
        ["vad"],
        ["asr"],
    ]
    assert {"from": "vad", "to": "asr", "strategy": "NativeToIPC"} in plan["edges"]
    assert {"from": "asr", "to": "reply", "strategy": "SharedMemory"} in plan["edges"]
    assert {"from": "tts", "to": "speaker", "strategy": "IPCToNative"} in plan["edges"]
    assert sum(bridge["lanes"] for bridge in plan["bridges"]) == len(plan["edges"])
    assert plan["dependency_graph"]["asr"] == ["vad"]
    assert plan["stages"][0][0]["params"] == {"chunk_size": 512}


def test_the_plan_for_a_reader_names_every_node_and_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", ASSISTANT]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["stage", "node", "type", "executor", "reason"]
    assert ["2", "asr", "PocketSphinxNode", "multiprocess"] in [line[:4] for line in lines]
    assert ["vad", "asr", "NativeToIPC"] in lines


def test_a_plan_of_a_broken_manifest_is_wrong_input(
    broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", broken, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: nodes[1].params.chunk_size: " in err


def limits(lines: list[list[str]]) -> dict[str, list[str]]:
    """The rows of the table of resources."""
    start = lines.index(["resource", "one", "session", "limit", "free"])
    return {line[0]: line[1:] for line in lines[start + 1 :] if line}


def test_limits_tell_what_a_session_takes_of_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text("[limits]\nmax_processes = 7\nmax_node_memory_bytes = 100_000_000\n")
    assert main(["plan", ASSISTANT, "--limits", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    rows = limits([line.split() for line in out.splitlines()])
    assert rows["processes"] == ["3", "7", "7"]
    assert rows["node_memory_bytes"][0] == "800000000"  # 3 processes, and 5 nodes in the host
    assert rows["sessions"][0] == "1"
    assert "refused" not in out


def test_limits_are_what_a_service_has_for_sessions_on_this_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside its connections, for which it needs descriptors as well."""
    few = Capacity(memory_bytes=8 << 30, processes=200, open_files=4096)
    monkeypatch.setattr(Capacity, "here", staticmethod(lambda: few))
    assert main(["plan", ASSISTANT, "--limits"]) == 0
    rows = limits([line.split() for line in capsys.readouterr().out.splitlines()])
    assert rows["sessions"] == ["1", "50", "50"]
    assert rows["open_files"][1:] == [str(32 * 50)] * 2


def test_limits_that_no_service_would_start_with_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text("[limits]\nmax_shared_memory_bytes = 1\n")
    manifest = tmp_path / "native.json"
    nodes = [{"id": "a", "node_type": "PassThrough"}]
    manifest.write_text(json.dumps({"version": "v1", "nodes": nodes}))
    assert main(["plan", str(manifest), "--limits", "--config", str(config)]) == 2
    assert "limits: not one session could be admitted: shared_mem" in capsys.readouterr().err


def test_what_waits_for_sessions_is_not_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(
        "[limits]\nmax_processes = 7\n[multiprocess]\nmax_processes_per_session = 7\n"
        '[[service.prewarm]]\nnode_type = "EchoNode"\ncount = 5\n'
    )
    assert main(["plan", ASSISTANT, "--limits", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert limits([line.split() for line in out.splitlines()])["processes"] == ["3", "7", "2"]
    assert "it would be refused: processes: 3 wished, 2 free of 7" in out


def test_limits_say_why_a_session_would_be_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(
        "[limits]\nmax_buffered_bytes = 3_000_000\nmax_shared_memory_bytes = 20_000_000\n"
    )
    manifest = tmp_path / "native.json"
    nodes = [{"id": name, "node_type": "PassThrough"} for name in "ab"]
    connections = [{"from": "a", "to": "b"}]
    manifest.write_text(json.dumps({"version": "v1", "nodes": nodes, "connections": connections}))
    assert main(["plan", str(manifest), "--limits", "--json", "--config", str(config)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["shortage"].startswith("shared_memory_bytes: ")
    assert {"name": "buffered_bytes", "cost": 3_000_000, "limit": 3_000_000, "free": 3_000_000} in (
        plan["resources"]
    )
