"""The systemd unit says what the service needs, and what systemd understands."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from penstock.cli.main import COMMANDS
from penstock.manifest import Limits, ServiceSettings
from penstock.service.fitting import FILES_OF_A_SESSION, OWN_FILES
from penstock.service.server import STOP_S

UNIT = Path(__file__).parents[2] / "deploy" / "penstock.service"
TOOL = shutil.which("systemd-analyze")


@pytest.fixture
def service() -> Mapping[str, str]:
    """The keys of ``[Service]``, each of which is there once."""
    _, _, section = UNIT.read_text().partition("[Service]\n")
    lines = section.partition("\n[")[0].splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


def test_what_it_starts_is_there(service: Mapping[str, str]) -> None:
    program, command, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "penstock"
    assert command in COMMANDS
    assert arguments == ["--config", "/etc/penstock/penstock.toml"]


def test_only_the_service_is_asked_to_stop_and_it_has_the_time(service: Mapping[str, str]) -> None:
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) > ServiceSettings().drain_secs + STOP_S


def test_it_may_open_what_its_defaults_promise(service: Mapping[str, str]) -> None:
    sessions = FILES_OF_A_SESSION * Limits().max_sessions
    connections = ServiceSettings().connections.max_connections
    assert int(service["LimitNOFILE"]) >= sessions + connections + OWN_FILES


def test_it_may_divide_its_control_group(service: Mapping[str, str]) -> None:
    assert service["Delegate"] == "yes"
    assert service["OOMPolicy"] == "continue"
    assert "ProtectControlGroups" not in service


@pytest.mark.skipif(TOOL is None, reason="there is no systemd here")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """Not one key is unknown; the program and its user are for the machine that it is for."""
    text = UNIT.read_text().replace("/opt/penstock/bin/penstock", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    command = [str(TOOL), "verify", "--man=no", str(tmp_path / UNIT.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
