"""What the garbage collector does in the service's process."""

from __future__ import annotations

import subprocess
import sys

CHURN = """
import gc
from collections import deque
from penstock.service.heap import settle

settle()
seen = []
gc.callbacks.append(lambda phase, info: phase == "start" and seen.append(info["generation"]))
there = deque([[]] * 3000, maxlen=3000)
for _ in range({count}):
    there.append([[], []])
print(max(seen, default=-1))
"""


def test_what_comes_as_others_go_is_not_looked_through() -> None:
    """Else thousands of connections would be, for a tenth of a second each time."""
    assert printed(CHURN.format(count=200_000)) == "-1"


def test_what_adds_up_is_looked_through() -> None:
    kept = "import gc\nfrom penstock.service.heap import settle\nsettle()\n"
    cycles = "for _ in range(600_000):\n    one = []\n    one.append(one)\n"
    assert int(printed(kept + cycles + "print(len(gc.get_objects()))")) < 100_000


def printed(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
