"""What a chunk costs here, and in another checkout at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COST = [sys.executable, "-m", "bench.cost", "--streams", "2", "--seconds", "1", "--rounds", "1"]


def test_it_says_what_each_part_takes_and_compares_two_checkouts(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / ".venv/bin").mkdir(parents=True)
    python = other / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    words = [*COST, "--beside", str(other)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, here, there, ratio = map(str.split, done.stdout.splitlines())
    assert head == ["2", "streams", "each", "front", "door", "hosts", "clients"]
    for row in (here, there):
        assert all(float(cost) > 0 for cost in row[-3:])
    assert ratio[:3] == ["here", "/", "other"]
    assert all(float(part) > 0 for part in ratio[-3:])
