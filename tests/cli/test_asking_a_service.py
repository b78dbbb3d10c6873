"""``penstock plan --address``, of services that want TLS, a token and a certificate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from certificates import Authority
from served import serving

from penstock.manifest import digest_of, new_token

FIRST = str(Path(__file__).parents[2] / "examples" / "first_pipeline.json")
TOKEN = new_token()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the operator and the client have."""
    here = tmp_path_factory.mktemp("files")
    authority = Authority("ours")
    authority.pair.write(here, "authority")
    for name in ("service", "robot"):
        authority.issue(name).write(here, name)
    (here / "token").write_text(f"{TOKEN}\n")
    (here / "tokens.toml").write_text(f'[tokens.robot]\nsha256 = "{digest_of(TOKEN)}"\n')
    (here / "tokens.toml").chmod(0o600)
    (here / "penstock.toml").write_text(
        f'[service]\ntokens = "{here}/tokens.toml"\n[service.tls]\n'
        f'certificate = "{here}/service.pem"\nkey = "{here}/service.key"\n'
        f'client_ca = "{here}/authority.pem"\n'
    )
    return here


@pytest.fixture
def address(files: Path) -> Iterator[str]:
    config = str(files / "penstock.toml")
    with serving("--bind", "127.0.0.1:0", "--config", config) as (_, found):
        yield found


def plan(files: Path, *arguments: str, variable: str = "") -> subprocess.CompletedProcess[str]:
    """What it says; files are named as they are in their folder."""
    command = [sys.executable, "-m", "penstock", "plan", FIRST, "--json", *arguments]
    around = {**os.environ, "PENSTOCK_TOKEN": variable}
    return subprocess.run(
        command, cwd=files, env=around, capture_output=True, text=True, check=False
    )


CERTIFIED = ("--ca", "authority.pem", "--certificate", "robot.pem", "--key", "robot.key")


def test_a_guarded_service_is_asked_with_all_that_it_wants(files: Path, address: str) -> None:
    to = ("--address", address, *CERTIFIED)
    by_file = plan(files, *to, "--token-file", "token")
    by_variable = plan(files, *to, variable=TOKEN)
    for done in (by_file, by_variable):
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["shortage"] == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "may want TLS, or a certificate"),
        (("--ca", "authority.pem"), "may want TLS, or a certificate"),
        (("--tls",), "certificate is not trusted"),
        (("--ca", "tokens.toml"), "may be no PEM"),
        (CERTIFIED, "expected metadata 'authorization: Bearer"),
    ],
)
def test_what_is_missing_is_said(
    files: Path, address: str, arguments: tuple[str, ...], said: str
) -> None:
    done = plan(files, "--address", address, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ca", "authority.pem"), "--ca is for --address"),
        (("--token-file", "token"), "--token-file is for --address"),
        (("--address", "x:1", "--token-file", "token"), "would go there in clear; say --tls"),
        (("--address", "x:1", "--token-file", "robot.pem"), "robot.pem: expected a token"),
        (("--address", "x:1", "--ca", "nothing.pem"), "nothing.pem can't be read"),
        (("--address", "x:1", "--key", "robot.key"), "--certificate and --key go together"),
    ],
)
def test_what_makes_no_sense_is_status_2(
    files: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = plan(files, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_variable_that_holds_no_token_is_not_shown(files: Path) -> None:
    done = plan(files, "--address", "127.0.0.1:1", variable="hush\nhush")
    assert done.returncode == 2
    assert "$PENSTOCK_TOKEN: expected a token" in done.stderr
    assert "hush" not in done.stderr


def test_without_an_address_the_variable_means_nothing(files: Path) -> None:
    assert plan(files, variable=TOKEN).returncode == 0
