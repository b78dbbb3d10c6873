"""SIGTERM before ``penstock serve`` says that it listens: it ends well, and leaves nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from served import SERVE

from penstock.testing.leaks import descendants

WHILE_LOADING = """
import signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "grpc":
            signal.raise_signal(signal.SIGTERM)

sys.meta_path.insert(0, Finder())
"""
WHILE_STARTING = """
import signal, sys
import penstock.service.server as server

server.keep_freed_memory = lambda: signal.raise_signal(signal.SIGTERM)
"""
AS_IT_ENDS = """
import signal, sys
from penstock.executors.multiprocess.launcher import LAUNCHER

close = LAUNCHER.close
LAUNCHER.close = lambda: (signal.raise_signal(signal.SIGTERM), close())
"""
CALLED = """
from penstock.cli.main import main

sys.exit(main(sys.argv[1:]))
"""
IN_A_NODES_FILE = """
import os, signal
from penstock import Node, Text, node

@node("Same")
class Same(Node):
    def process(self, item: Text) -> Text:
        return item

os.kill(os.getpid(), signal.SIGTERM)
"""


def assert_ends_well(bind: str, *command: str) -> None:
    done = subprocess.run(
        [*command, "--bind", bind], capture_output=True, text=True, check=False, timeout=25
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert not descendants()


@pytest.mark.parametrize("when", [WHILE_LOADING, WHILE_STARTING])
def test_it_is_heeded_as_soon_as_it_can_be(when: str, tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    assert_ends_well(f"unix:{path}", sys.executable, "-c", when + CALLED, "serve")
    assert not path.exists()


def test_it_is_heeded_when_nodes_have_been_loaded(tmp_path: Path) -> None:
    nodes, path = tmp_path / "nodes.py", tmp_path / "service.sock"
    nodes.write_text(IN_A_NODES_FILE)
    assert_ends_well(f"unix:{path}", *SERVE, "--nodes", str(nodes))
    assert not path.exists()


def test_one_more_as_it_ends_changes_nothing(tmp_path: Path) -> None:
    """The first comes as it starts, the second when all sessions have gone."""
    script = AS_IT_ENDS + WHILE_STARTING + CALLED
    assert_ends_well(f"unix:{tmp_path / 'service.sock'}", sys.executable, "-c", script, "serve")
