"""``penstock serve`` as a program, for the tests beside this."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

SERVE = [sys.executable, "-m", "penstock", "serve"]


@contextlib.contextmanager
def serving(
    *arguments: str, stderr: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program and the address that it says; told to stop at the end of the block."""
    with subprocess.Popen(
        [*SERVE, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on ")
            yield process, line.removeprefix("listening on ").strip()
        finally:
            process.terminate()
