"""Runs a coordinator, a daemon and a dataflow: ``python -m bench.frameworks.dora_service LINK``.

All on loopback, on ports of their own, with the coordinator's state in memory.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent
_DORA = Path(sys.executable).parent / "dora"
_LOOPBACK = "127.0.0.1"
_LOOK_EVERY_S = 0.02


def main(link: str) -> None:
    """Start everything; coordinator, daemon and nodes go on when this returns."""
    coordinator, daemon = _free_ports()
    where = ("--coordinator-port", str(coordinator))
    _start(coordinator, "coordinator", "--port", where[1], "--store", "memory", "--quiet")
    listen = ("--local-listen-port", str(daemon), "--zenoh-no-multicast")
    _start(daemon, "daemon", *where, *listen)
    flow = Path("dataflow.yml")
    flow.write_text(json.dumps(_dataflow(link)))  # JSON is YAML
    subprocess.run([str(_DORA), "start", str(flow), *where, "--detach"], check=True)


def _dataflow(link: str) -> dict[str, object]:
    here = {"PYTHONPATH": str(_ROOT), "RUST_LOG": "error"}
    return {
        "nodes": [
            {
                "id": "source",
                "path": sys.executable,
                "args": f"-m bench.frameworks.dora_node source {link}",
                "env": here,
                "outputs": ["payload"],
            },
            {
                "id": "target",
                "path": sys.executable,
                "args": f"-m bench.frameworks.dora_node target {link}",
                "env": here,
                "inputs": {"payload": {"source": "source/payload", "queue_size": 100}},
            },
        ]
    }


def _start(port: int, *words: str) -> None:
    """Start a server of dora's and wait until it listens, of which nobody tells."""
    process = subprocess.Popen([str(_DORA), *words])
    while process.poll() is None:
        try:
            socket.create_connection((_LOOPBACK, port)).close()
        except ConnectionRefusedError:
            time.sleep(_LOOK_EVERY_S)
        else:
            return
    raise SystemExit(f"dora {words[0]} ended with {process.returncode}")


def _free_ports() -> tuple[int, int]:
    """Two ports of loopback that nobody listens on."""
    with socket.create_server((_LOOPBACK, 0)) as one, socket.create_server((_LOOPBACK, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


if __name__ == "__main__":
    main(*sys.argv[1:])
