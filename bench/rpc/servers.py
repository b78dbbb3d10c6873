"""Starts servers, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent
_LISTENING = "listening on "
STOP_S = 10.0

PENSTOCK = ("penstock", "serve", "--bind", "127.0.0.1:0")
ECHO = ("bench.rpc.echo_server",)


@contextmanager
def server(module: str, *arguments: str) -> Iterator[str]:
    """A server, by the address that it says it listens on; ended with SIGTERM."""
    with server_process(module, *arguments) as (_, address):
        yield address


@contextmanager
def server_process(
    module: str, *arguments: str, python: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The same with its process; another ``python`` may have another version of the module."""
    process = subprocess.Popen(
        [str(python or sys.executable), "-m", module, *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            assert line.startswith(_LISTENING), line
            yield process, line.removeprefix(_LISTENING)
        finally:
            process.terminate()
            process.wait(STOP_S)
