"""The service of a storm: a real process, whose every file and process is known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.executors.multiprocess.interpreter import environment
from penstock.testing import ProcessTree

_ROOT = Path(__file__).parents[2]
_LISTENING = "listening on "
_NODES = "bench.storm.nodes"
STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Service:
    """Where it listens, its processes, and the directory in which it must leave nothing."""

    address: str
    tree: ProcessTree
    directory: Path
    log: Path
    process: subprocess.Popen[str]

    def stop(self) -> int:
        """End it with SIGTERM; gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def files(self) -> list[str]:
        """What lies in its temporary and working directory."""
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))


@contextmanager
def service(*arguments: str) -> Iterator[Service]:
    """Start one; it is killed at the end where it has not been stopped.

    ``arguments`` are for ``penstock serve``, beside where it listens and its nodes.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-storm-") as around:
        directory, log = Path(around, "tmp"), Path(around, "log")
        directory.mkdir()
        process = _started(directory, log, arguments)
        with process:
            try:
                address = _announced(process, log)
                yield Service(address, ProcessTree(process.pid), directory, log, process)
            finally:
                process.kill()


def _started(directory: Path, log: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    variables = {**environment(), "TMPDIR": str(directory)}
    variables["PYTHONPATH"] = os.pathsep.join([str(_ROOT), variables["PYTHONPATH"]])
    serve = ("-m", "penstock", "serve", "--bind", "127.0.0.1:0", "--nodes", _NODES, *arguments)
    with log.open("w") as stderr:
        return subprocess.Popen(
            [sys.executable, *serve],
            cwd=directory,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


def _announced(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.startswith(_LISTENING):
        raise SystemExit(f"the service did not start:\n{log.read_text()}")
    return line.removeprefix(_LISTENING)
