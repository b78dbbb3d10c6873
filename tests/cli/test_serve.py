"""``penstock serve`` as a program."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from served import SERVE, serving

from penstock.client import Client
from penstock.data import Text
from penstock.testing.leaks import descendants

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_stops_with_status_0(number: signal.Signals) -> None:
    with serving("--bind", "127.0.0.1:0", stderr=subprocess.PIPE) as (process, address):
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port))):
            pass
        process.send_signal(number)
        out, err = process.communicate()
        assert (process.returncode, out) == (0, "")
        assert "Traceback" not in err


async def test_it_serves_own_nodes_on_a_unix_socket(tmp_path: Path) -> None:
    bind = f"unix:{tmp_path / 'penstock.sock'}"
    with serving("--bind", bind, "--nodes", str(EXAMPLES / "gain_node.py")) as (process, address):
        assert address == bind
        async with Client(address) as client:
            assert "Gain" in (await client.version()).node_types
            manifest = {"version": "v1", "nodes": [{"id": "e", "node_type": "EchoNode"}]}
            outcome = await client.execute(manifest, {"e": Text("hello")})
        assert [output.value for output in outcome.outputs] == [Text("hello")]
        process.terminate()
        process.wait()
        assert process.returncode == 0
    assert not (tmp_path / "penstock.sock").exists()


def test_the_configuration_says_where_to_listen(tmp_path: Path) -> None:
    bind = f"unix:{tmp_path / 'configured.sock'}"
    (tmp_path / "penstock.toml").write_text(f'[service]\nbind = "{bind}"\n')
    with serving("--config", str(tmp_path / "penstock.toml")) as (_, address):
        assert address == bind


def test_whoever_started_it_is_told_that_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemd is; no process of a node has the way to do so."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        with serving("--bind", "127.0.0.1:0") as (process, _):
            assert manager.recv(100) == b"READY=1"
            others = {found.pid for found in descendants()} - {process.pid}
            assert others
            for pid in others:
                assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_taken_port_is_an_error_with_a_message() -> None:
    with serving("--bind", "127.0.0.1:0") as (_, address):
        done = subprocess.run(
            [*SERVE, "--bind", address], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: service.bind: {address}: can't be bound" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bind", ["nowhere", "localhost:99999", "unix:"])
def test_a_wrong_address_is_wrong_input(bind: str) -> None:
    done = subprocess.run([*SERVE, "--bind", bind], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: service.bind: ")


async def test_the_log_is_json_where_that_is_wished(tmp_path: Path) -> None:
    """A node's own words are told with the node and its session, and can't be taken for ours."""
    (tmp_path / "penstock.toml").write_text('[telemetry]\nlog_format = "json"\n')
    (tmp_path / "says.py").write_text(SAYS)
    arguments = ("--config", str(tmp_path / "penstock.toml"), "--nodes", str(tmp_path / "says.py"))
    options = ("--bind", "127.0.0.1:0", "--metrics-bind", "127.0.0.1:0")
    with serving(*arguments, *options, stderr=subprocess.PIPE) as (process, address):
        async with Client(address) as client:
            manifest = {"version": "v1", "nodes": [{"id": "n", "node_type": "Says"}]}
            await client.execute(manifest, {"n": Text("x\n" + FORGED)})
        process.terminate()
        _, log = process.communicate()
    records = [json.loads(line) for line in log.splitlines()]
    said = [record for record in records if record["logger"] == "penstock.node"]
    assert [(one["node_id"], one["node_type"], one["stream"], one["line"]) for one in said] == [
        ("n", "Says", "stdout", "x"),
        ("n", "Says", "stdout", FORGED),
    ]
    assert len({one["session_id"] for one in said}) == 1
    assert any("metrics are at http://127.0.0.1:" in record["event"] for record in records)


FORGED = '{"event": "all is well", "logger": "penstock"}'
SAYS = '''\
from penstock import ExecutorType, Node, Text, node


@node("Says", executor=ExecutorType.MULTIPROCESS)
class Says(Node):
    """Say what it gets."""

    def process(self, item: Text) -> Text:
        print(item.text, flush=True)
        return item
'''


def test_metrics_that_others_could_read_have_to_be_wished() -> None:
    arguments = ["--bind", "127.0.0.1:0", "--metrics-bind", "0.0.0.0:0"]
    done = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: telemetry.metrics_bind: 0.0.0.0:0: ")
