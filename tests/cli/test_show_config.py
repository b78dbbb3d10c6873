"""``penstock serve --show-config``: every value, and where it comes from."""

from __future__ import annotations

import logging
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from penstock.cli.main import main
from penstock.manifest import Settings, load_settings

Capture = pytest.CaptureFixture[str]

WRITTEN = """
[service]
bind = "127.0.0.1:0"
drain_secs = 3.0

[[service.prewarm]]
node_type = "CommandReplyNode"
params = { fallback = "hush" }

[service.connections]
max_streams = 7

[executors.mappings]
PassThrough = "native"
"odd key" = "multiprocess"

[[executors.patterns]]
suffix = "FilterNode"
executor = "native"
priority = 5

[interpreters]
ml = "python3"

[multiprocess]
channel_capacity = 9

[telemetry.traces]
endpoint = "http://me:hush@127.0.0.1:4317"
"""


def shown(capsys: Capture, *arguments: str) -> dict[str, tuple[str, str]]:
    """By path: the value as it is written, and its source."""
    assert main(["serve", "--show-config", *arguments]) == 0
    return lines_of(capsys.readouterr().out)


def lines_of(said: str) -> dict[str, tuple[str, str]]:
    found, table = {}, ""
    for line in said.splitlines():
        if line.startswith("["):
            table = line.strip("[]")
        elif line:
            setting, source = line.rsplit("  # ", 1)
            key, _, value = setting.removeprefix("# ").replace(": not set", " = -").partition(" = ")
            found[f"{table}.{key.strip()}"] = value.strip(), source
    return found


def keys(model: type[BaseModel], above: str = "") -> set[str]:
    """Every key that has a value, by its path."""
    found = set()
    for name, value in model():
        path = f"{above}{name}"
        found |= keys(type(value), f"{path}.") if isinstance(value, BaseModel) else {path}
    return found - {"interpreters", "executors.mappings"}  # tables of the operator's own keys


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "penstock.toml"
    path.write_text(WRITTEN)
    return path


def test_every_key_is_shown_also_where_nothing_is_configured(capsys: Capture) -> None:
    found = shown(capsys)
    assert keys(Settings) <= set(found) | {"executors.mappings"}
    assert found["service.bind"] == ('"127.0.0.1:50051"', "default")
    assert found["multiprocess.channel_capacity"] == ("100", "default")
    assert found["service.tokens"] == ("-", "default")
    assert found["interpreters.none"] == ("", "default")


def test_each_value_says_where_it_comes_from(file: Path, capsys: Capture) -> None:
    address = f"unix:{file.parent}/x"
    options = ("--config", str(file), "--bind", address, "--metrics-bind", "127.0.0.1:9")
    found = shown(capsys, *options)
    assert found["service.bind"] == (f'"{address}"', "command line")
    assert found["telemetry.metrics_bind"] == ('"127.0.0.1:9"', "command line")
    assert found["service.drain_secs"] == ("3.0", str(file))
    assert found["service.connections.max_streams"] == ("7", str(file))
    assert found["service.connections.max_calls"][1] == "default"
    assert found['executors.mappings."odd key"'] == ('"multiprocess"', str(file))
    assert found["multiprocess.channel_capacity"] == ("9", str(file))
    assert found["service.prewarm.count"] == ("1", "default")


def test_what_the_machine_has_no_room_for_is_shown_as_lowered(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import penstock.cli.serve as command

    few = command.Capacity(memory_bytes=8 << 30, processes=200, open_files=1 << 16)
    monkeypatch.setattr(command.Capacity, "here", staticmethod(lambda: few))
    found = shown(capsys)
    assert found["limits.max_sessions"] == ("50", "default, lowered to what this machine has")


def test_secrets_are_not_shown(file: Path, capsys: Capture) -> None:
    assert main(["serve", "--show-config", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert "hush" not in said
    assert "fallback" in said
    assert "127.0.0.1:4317" in said


def test_what_is_shown_is_a_file_that_means_the_same(
    file: Path, tmp_path: Path, capsys: Capture
) -> None:
    file.write_text(WRITTEN.replace("hush", "…").replace("me:", ""))
    assert main(["serve", "--show-config", "--config", str(file)]) == 0
    again = tmp_path / "again.toml"
    again.write_text(capsys.readouterr().out)
    one, other = load_settings(file), load_settings(again)
    lowered = {"limits": {"max_sessions"}, "service": {"connections": {"max_connections"}}}
    same: dict[str, Any] = {"exclude": {"multiprocess": True, **lowered}}
    assert one.model_dump(**same) == other.model_dump(**same)
    assert tomllib.loads(again.read_text())["multiprocess"]["python_executable"] == "python"
    assert main(["serve", "--show-config", "--config", str(again)]) == 0, "and it can be kept here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[service]\nbind = "0.0.0.0:1"\n', "service.bind: 0.0.0.0:1: other machines"),
        ("[limits]\nmax_sessions = 4000000\n", "limits.max_sessions: this machine has room"),
        ("[service]\nbnd = 1\n", "service.bnd: unknown key"),
        ('[service]\ntokens = "{0}"\n', "service.tokens: {0} is not TOML"),
        ('[service.tls]\ncertificate = "{0}"\nkey = "{0}"\n', "service.tls: expected a cert"),
        ('[service]\nbind = "unix:{0}/x"\n', "service.bind: unix:{0}/x: can't be bound: Not a dir"),
        ('[service]\nbind = "unix:{0}"\n', "service.bind: unix:{0}: there is a file that is no"),
        (
            '[[service.prewarm]]\nnode_type = "EchoNod"\n',
            "service.prewarm[0]: nodes[0].node_type: ",
        ),
        (
            '[[service.prewarm]]\nnode_type = "EchoNode"\ncount = 9\n[limits]\nmax_processes = 3\n',
            "service.prewarm: processes: 9 wished, 3 free",
        ),
        ('[telemetry]\nmetrics_bind = "0.0.0.0:1"\n', "telemetry.metrics_bind: 0.0.0.0:1: others"),
        (
            '[telemetry]\nmetrics_bind = "127.0.0.1:50051"\n',
            "telemetry.metrics_bind: 127.0.0.1:50051: service.bind is 127.0.0.1:50051; expected a",
        ),
        (
            '[executors]\ndefault = "wasm"\n',
            "executors.default: the wasm executor is not available in this build; expected native",
        ),
        (
            '[service]\nbind = "256.1.1.1:5"\n',
            "service.bind: 256.1.1.1:5: the host must be an IP address of this machine, or a "
            "name of one, got '256.1.1.1': ",
        ),
        ('[service]\nbind = "a..b:5"\n', "service.bind: a..b:5: the host must be an IP address"),
    ],
)
def test_what_can_not_be_served_is_an_error(
    tmp_path: Path, capsys: Capture, text: str, said: str
) -> None:
    rubbish, path = tmp_path / "rubbish", tmp_path / "penstock.toml"
    rubbish.write_text("rub bish")
    path.write_text(text.replace("{0}", str(rubbish)))
    assert main(["serve", "--show-config", "--config", str(path)]) == 2
    assert said.replace("{0}", str(rubbish)) in capsys.readouterr().err


def test_what_a_service_would_warn_of_is_said_beside_it(tmp_path: Path, capsys: Capture) -> None:
    tokens, path = tmp_path / "tokens.toml", tmp_path / "penstock.toml"
    tokens.write_text(f'[tokens.a]\nsha256 = "{"0" * 64}"\nmethods = ["Chek"]\n')
    tokens.chmod(0o600)
    path.write_text(
        f'[service]\nbind = "0.0.0.0:0"\ntokens = "{tokens}"\n'
        '[executors.mappings]\nPassThru = "native"\n'
    )
    before = logging.getLogger("penstock").handlers[:]
    assert main(["serve", "--show-config", "--insecure", "--config", str(path)]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "warning: whoever is on the way to 0.0.0.0:0 can read its tokens and data",
        "warning: tokens.a.methods: no method is called 'Chek' (did you mean 'Check'?)",
        "warning: executors.mappings: no node type is called 'PassThru' here "
        "(did you mean 'PassThrough'?)",
    ]
    assert "warning" not in said.out
    assert logging.getLogger("penstock").handlers == before


def test_nodes_that_are_not_there_are_an_error(capsys: Capture) -> None:
    assert main(["serve", "--show-config", "--nodes", "no_such_module"]) == 2
    assert "no_such_module" in capsys.readouterr().err


def test_an_address_that_is_taken_may_be_the_service_that_runs(
    tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "penstock.sock"
    bind = f"unix:{path}"
    assert shown(capsys, "--bind", bind)["service.bind"][0] == f'"{bind}"'
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as other, socket.create_server(("127.0.0.1", 0)) as one:
        other.bind(str(path))
        for taken in (bind, f"127.0.0.1:{one.getsockname()[1]}"):
            assert shown(capsys, "--bind", taken)["service.bind"][0] == f'"{taken}"'
    assert path.exists()
