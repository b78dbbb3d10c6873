"""The ends of the bare hop, each in a process: they go with each other, and say nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.hops.bare import lane

ROOT = Path(__file__).parent.parent.parent
NBYTES = "4096"


def left_alone(module: str, role: str, ends: int) -> subprocess.CompletedProcess[str]:
    """What an end's process says when the other ends of all its sockets are closed."""
    lanes = [lane() for _ in range(ends)]
    kept = [ours for ours, _ in lanes]
    for _, theirs in lanes:
        theirs.close()
    fds = [sock.fileno() for sock in kept]
    numbers = [*map(str, fds)]
    words = [role, NBYTES, *numbers] if module == "ping_pong" else [role, *numbers, NBYTES]
    done = subprocess.run(
        [sys.executable, "-m", f"bench.hops.{module}", *words],
        cwd=ROOT,
        pass_fds=fds,
        capture_output=True,
        text=True,
        check=False,
    )
    for sock in kept:
        sock.close()
    return done


@pytest.mark.parametrize(
    ("module", "role", "ends"),
    [
        ("bare_rig", "source", 2),
        ("bare_rig", "target", 2),
        ("ping_pong", "ping", 3),
        ("ping_pong", "pong", 2),
    ],
)
def test_an_end_without_the_other_ends_quietly(module: str, role: str, ends: int) -> None:
    done = left_alone(module, role, ends)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
