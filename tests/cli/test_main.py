from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from penstock.cli import status
from penstock.cli.main import COMMANDS, main
from penstock.errors import (
    ConfigurationError,
    Fault,
    InputError,
    InvalidValueError,
    ManifestError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    ResourceLimitError,
    ServiceError,
    StallError,
)

FAULT = Fault("nodes[0]", "is wrong")


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"penstock {penstock.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_is_there_for_everything(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    assert capsys.readouterr().out.startswith("usage: penstock")


def test_the_help_has_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out.partition("Exit status:")[2]
    for known in (0, status.FAILED, status.WRONG_INPUT, status.INTERRUPTED):
        assert re.search(rf"\b{known}\b", said)


@pytest.mark.parametrize("arguments", [["bogus"], ["check"], ["plan", "a", "b"], ["--wrong"]])
def test_a_wrong_call_is_wrong_input(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: penstock" in capsys.readouterr().err


def test_no_command_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in COMMANDS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ManifestError([FAULT]), 2),
        (ConfigurationError([FAULT]), 2),
        (InputError("no such node"), 2),
        (InvalidValueError("no such kind"), 2),
        (ServiceError("bad manifest", error_type="VALIDATION"), 2),
        (ServiceError("bad value", error_type="TYPE_VALIDATION"), 2),
        (ServiceError("it failed", error_type="NODE_EXECUTION"), 1),
        (ServiceError("gone", error_type="UNAVAILABLE"), 1),
        (NodeExitedError("asr", pid=7, signal="SIGKILL"), 1),
        (ResourceLimitError("processes", wished=3, free=1, limit=100), 1),
        (StallError(["a", "b"], limit_s=10), 1),
    ],
)
def test_the_status_says_who_has_to_act(error: PenstockError, expected: int) -> None:
    assert status.status_of(error) == expected


def test_a_node_s_traceback_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status.complain(
        NodeExecutionError(
            "asr",
            during="process",
            exception_type="ValueError",
            exception_message="too loud",
            traceback='  File "asr.py", line 3\nValueError: too loud\n',
        )
    )
    assert capsys.readouterr().err == (
        '  File "asr.py", line 3\nValueError: too loud\n'
        "error: node 'asr': process raised ValueError: too loud\n"
    )


def test_the_stacks_of_a_node_that_hangs_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    stacks = '  File "asr.py", line 3 in listen\n'
    status.complain(NodeTimeoutError("asr", during="process", limit_s=2, stacks=stacks))
    assert capsys.readouterr().err == (
        "  File \"asr.py\", line 3 in listen\nerror: node 'asr': process did not end within 2 s\n"
    )


def test_a_command_loads_only_what_it_needs() -> None:
    script = "import sys; from penstock.cli import main; print(main.main(['check', '/none']))"
    script += (
        "; print([n for n in ('grpc', 'rich', 'asyncio', 'penstock.service') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n[]\n"


def test_a_reader_that_has_enough_is_no_traceback() -> None:
    command = f"{sys.executable} -m penstock plan examples/voice_assistant.json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["check", "examples/first_pipeline.json"],
        ["plan", "examples/voice_assistant.json"],
        ["run", "examples/first_pipeline.json", "-i", "hear=text:my name is Ada"],
        ["demo"],
    ],
)
def test_an_output_that_can_not_be_written_is_one_line(words: list[str], tmp_path: Path) -> None:
    elsewhere = [f"--output={tmp_path}"] if words == ["demo"] else []
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "penstock", *words, *elsewhere],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "error: stdout can't be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_stdout_may_be_closed() -> None:
    command = f"{sys.executable} -m penstock check examples/first_pipeline.json >&-"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("command", ["check", "run"])
def test_ctrl_c_while_nodes_are_imported_is_no_traceback(tmp_path: Path, command: str) -> None:
    nodes = tmp_path / "slow.py"
    nodes.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nsignal.pause()\n")
    words = [sys.executable, "-m", "penstock", command, "a.json", "--nodes", str(nodes)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_while_a_command_is_loaded_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("penstock.cli.main._load", interrupted)
    assert main(["check", "a.json"]) == status.INTERRUPTED
