"""A program's processes, seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from penstock.testing import ProcessTree

FAMILY = """
import os, signal, sys
pid = os.fork()
if pid == 0:
    if os.fork() == 0:
        os.setsid()
        os.write(1, b"grandchild %d\\n" % os.getpid())
    signal.pause()
os.write(1, b"child %d\\n" % pid)
signal.pause()
"""


@pytest.fixture
def family() -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """A program with a child and a grandchild that is in a session of its own."""
    command = [sys.executable, "-c", FAMILY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as root:
        assert root.stdout is not None
        said = dict(root.stdout.readline().split() for _ in range(2))
        pids = {name: int(pid) for name, pid in said.items()}
        yield root, pids
        for pid in (root.pid, *pids.values()):
            _end(pid)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_it_has_all_generations(family: tuple[subprocess.Popen[str], dict[str, int]]) -> None:
    root, pids = family
    tree = ProcessTree(root.pid)
    assert [one.pid for one in tree.look()] == [root.pid, pids["child"], pids["grandchild"]]
    assert tree.look()[0] == tree.root
    assert {one.pid for one in tree.remaining(0)} == {root.pid, *pids.values()}
    assert not tree.remaining(0, stays=lambda one: one.name == tree.root.name)
    assert tree.named("no such") == []


def test_what_lost_its_parents_is_still_known(
    family: tuple[subprocess.Popen[str], dict[str, int]],
) -> None:
    root, pids = family
    tree = ProcessTree(root.pid)
    tree.look()
    os.kill(pids["child"], signal.SIGKILL)
    root.kill()
    root.wait()
    left = tree.remaining(0)
    assert [one.pid for one in left if one.pid != pids["child"]] == [pids["grandchild"]]
    os.kill(pids["grandchild"], signal.SIGKILL)
    assert not tree.remaining(5)


def test_it_counts_what_processes_hold(
    family: tuple[subprocess.Popen[str], dict[str, int]],
) -> None:
    root, _ = family
    tree = ProcessTree(root.pid)
    whole, alone = tree.usage(), tree.usage(lambda one: one.pid == root.pid)
    assert whole.threads == 3
    assert alone.threads == 1
    assert 0 < alone.descriptors < whole.descriptors
    assert 0 < alone.memory_bytes < whole.memory_bytes


def test_there_is_no_tree_without_a_root() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    with pytest.raises(ProcessLookupError, match=str(ended.pid)):
        ProcessTree(ended.pid)
