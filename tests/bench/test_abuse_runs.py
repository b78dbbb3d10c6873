"""A little abuse of a service, and of a server without Penstock: both go on answering."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABUSE = [sys.executable, "-m", "bench.abuse", "--seconds", "1", "--share", "0.1"]


@pytest.mark.parametrize("server", [[], ["--bare"]], ids=["service", "bare"])
def test_it_says_what_others_see_beside_it_and_without(server: list[str]) -> None:
    words = [*ABUSE, *server, "--only", "half-open connections"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [re.split(r" {2,}", line)[0] for line in done.stdout.splitlines()]
    assert rows == ["beside", "nobody", "500 half-open connections", "nobody"]
