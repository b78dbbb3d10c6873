"""The same work in a process that has nothing to do with any service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SCRIPT = """
from bench.burning.work import burn
burn()
print(flush=True)
while True:
    burn()
"""


@contextmanager
def bare_burner() -> Iterator[None]:
    """Have a process burn, once it is at it; killed at the end."""
    command = [sys.executable, "-c", _SCRIPT]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()
