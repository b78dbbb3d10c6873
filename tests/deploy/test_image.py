"""The Dockerfile and the configuration beside it fit the code; no engine builds it here."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest

from penstock.cli import serve
from penstock.errors import ConfigurationError
from penstock.manifest import load_settings
from penstock.service.address import check_is_safe, parse_address

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
INSTRUCTIONS = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line[:1].isalpha()]


def values(name: str) -> list[str]:
    return [value for instruction, value in INSTRUCTIONS if instruction == name]


def test_what_it_copies_is_there_and_nothing_keeps_it_out() -> None:
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    own = [value for value in values("COPY") if not value.startswith("--from")]
    for source in (name for value in own for name in shlex.split(value)[:-1]):
        assert (ROOT / source).exists(), source
        assert f"!{source}" in kept
    built_from = {source for value in own for source in shlex.split(value)}
    project = (ROOT / "pyproject.toml").read_text()
    assert {*re.findall(r'^(?:readme|path) = "([^/"]+)"', project, re.M)} <= built_from


def test_it_runs_as_nobody_special() -> None:
    [user] = values("USER")
    assert f" {user}" in DOCKERFILE.partition("useradd")[2].splitlines()[0]
    last = max(index for index, (name, _) in enumerate(INSTRUCTIONS) if name == "RUN")
    assert last < [name for name, _ in INSTRUCTIONS].index("USER")


def test_what_it_starts_is_a_command_and_shows_what_is_asked_for_its_health() -> None:
    [entry], [arguments], [health] = values("ENTRYPOINT"), values("CMD"), values("HEALTHCHECK")
    name, *command = json.loads(arguments)
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    assert (json.loads(entry), name) == (["penstock"], "serve")
    bind = command[command.index("--metrics-bind") + 1]
    assert f"http://{bind}/metrics" in health
    parsed = parser.parse_args(command)
    assert (parsed.config, parsed.metrics_bind) == (Path("/etc/penstock/penstock.toml"), bind)


def test_it_has_no_secrets() -> None:
    assert not re.search(r"COPY.*(\.pem|\.key|tokens)", DOCKERFILE)


def test_the_configuration_is_safe_and_names_what_has_to_be_there(tmp_path: Path) -> None:
    shown = (DEPLOY / "penstock.toml").read_text()
    path = tmp_path / "penstock.toml"
    path.write_text(shown.replace("/etc/penstock", str(tmp_path)))
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert [fault.path for fault in caught.value.faults] == [
        "service.tokens",
        "service.tls.certificate",
        "service.tls.key",
    ]
    for fault in caught.value.faults:
        Path(fault.found or "").touch()
    service = load_settings(path).service
    assert service.tokens
    check_is_safe(parse_address(service.bind), encrypted=service.tls is not None)
