"""Control groups: real ones where this machine lets us have some, and files in their place.

Where no memory controller can be had, that a group's memory is limited is only seen in what is
written; the rest is the kernel's.
"""

import os
import signal
import subprocess
import sys

import pytest

from penstock.executors.multiprocess import cgroup, limits
from penstock.executors.multiprocess.child import Body
from penstock.executors.multiprocess.limits import Allowance, MemoryLimiter, SessionLimits

ESCAPE = """
import os, signal, sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100) or signal.pause()
    os._exit(0)
os.wait()
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def parent():
    """A real group to make others in."""
    root = cgroup.mount_point()
    path = None if root is None else root / f"penstock-test-{os.getpid()}"
    try:
        assert path is not None
        path.mkdir()
    except (AssertionError, OSError) as exc:
        pytest.skip(f"no control group of version 2 can be made here: {exc!r}")
    yield path
    path.rmdir()


def escaping(group):
    """A process in a group, whose grandchild has got away from it in every other way."""
    command = [sys.executable, "-c", ESCAPE, str(group.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def pids(group):
    return (group.path / "cgroup.procs").read_text().split()


def test_nothing_in_a_group_escapes_its_end(parent):
    session = cgroup.SessionGroup(parent)
    node = session.add_node()
    with escaping(node) as process:
        assert len(pids(node)) == 2
        node.kill()
        assert process.wait() == -signal.SIGKILL
        session.end(5)
    assert not session.path.exists()


def test_a_session_s_end_kills_what_is_left_in_its_groups(parent):
    session = cgroup.SessionGroup(parent)
    with escaping(session.add_node()) as process:
        session.add_node()
        session.end(5)
        assert process.wait() == -signal.SIGKILL
    assert not session.path.exists()


def test_a_process_enters_before_it_runs_anything(parent):
    node = cgroup.NodeGroup(parent / "node")
    pid = os.fork()
    if pid == 0:
        limits.confine(limits.UNLIMITED, node)
        signal.pause()
    while not pids(node):
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    assert pids(node) == [str(pid)]
    node.kill()
    os.waitpid(pid, 0)
    node.path.rmdir()


def test_leftovers_are_swept_and_what_is_in_use_is_not(parent):
    living, dead = cgroup.SessionGroup(parent), cgroup.SessionGroup(parent)
    with escaping(dead.add_node()) as process:
        os.close(dead._lock)  # as the kernel does when its supervisor is killed
        assert living.path not in cgroup.find_leftovers()
        assert dead.path in cgroup.find_leftovers()
        assert cgroup.sweep([living.path, dead.path], 5) == [dead.path]
        assert process.wait() == -signal.SIGKILL
    assert living.path.exists()
    living.end(5)
    assert cgroup.sweep([living.path], 5) == [living.path]


def test_what_is_written_of_a_limit(tmp_path):
    node = cgroup.NodeGroup(tmp_path / "node")
    (node.path / "memory.swap.max").touch()
    node.limit_memory(100 << 20)
    written = {path.name: path.read_text() for path in node.path.iterdir()}
    assert written == {
        "memory.max": "104857600", "memory.swap.max": "0", "memory.oom.group": "1",
    }  # fmt: skip


@pytest.mark.parametrize(("kills", "exceeded"), [(0, None), (1, 5000)])
def test_who_was_killed_for_its_memory(tmp_path, kills, exceeded):
    node = cgroup.NodeGroup(tmp_path / "node")
    assert node.exceeded_bytes is None
    node.limit_memory(5000)
    (node.path / "memory.events").write_text(f"low 0\nmax 7\noom {kills}\noom_kill {kills}\n")
    assert node.exceeded_bytes == exceeded


class Tree:
    """Files in the place of a hierarchy in which the service has a group of its own."""

    def __init__(self, root, monkeypatch):
        self.own = root / "penstock.service"
        self.own.mkdir()
        self.offer(self.own)
        monkeypatch.setattr(cgroup, "_own_group", lambda: self.at)
        self.at = self.own

    def offer(self, group, controllers="cpu memory"):
        (group / "cgroup.controllers").write_text(controllers)
        (group / "cgroup.subtree_control").write_text("")
        (group / "cgroup.procs").write_text("")

    def follow(self):
        """Be where the service has moved itself to."""
        self.at = self.own / "penstock-front"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    return Tree(tmp_path, monkeypatch)


def test_a_service_moves_to_a_leaf_of_its_group_and_divides_the_rest(tree):
    assert limits.memory_limiter() is MemoryLimiter.RLIMIT_DATA
    cgroup.delegate()
    assert (tree.own / "penstock-front" / "cgroup.procs").read_text() == "0"
    (tree.own / "cgroup.subtree_control").write_text("memory")  # how the kernel would tell it
    tree.follow()
    assert cgroup.base() == cgroup.delegate() == tree.own
    assert limits.memory_limiter() is MemoryLimiter.CGROUP


def test_a_group_without_the_memory_controller_is_left_as_it_is(tree):
    tree.offer(tree.own, "cpu pids")
    assert cgroup.delegate() is None
    assert not (tree.own / "penstock-front").exists()


def test_a_group_that_can_not_be_divided_is_left_as_it_was(tree, monkeypatch):
    write = cgroup._write

    def busy(path, text):
        if path.name == "cgroup.subtree_control":
            raise OSError(16, "Device or resource busy")
        if "penstock-front" not in str(path):  # a real leaf has no files to remove
            write(path, text)

    monkeypatch.setattr(cgroup, "_write", busy)
    assert cgroup.delegate() is None
    assert (tree.own / "cgroup.procs").read_text() == "0"
    assert not (tree.own / "penstock-front").exists()


def test_a_node_has_its_memory_and_its_share_of_shared_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroup, "base", lambda: tmp_path)
    session = SessionLimits()
    assert session.group_for(Allowance(open_files=100)) is None
    group = session.group_for(Allowance(memory_bytes=1000, shared_bytes=500))
    assert group.limit_bytes == 1500
    assert session.group_for(Allowance(memory_bytes=1000)).path.parent == group.path.parent
    os.close(session._group._lock)


def test_a_child_is_in_no_group_unless_it_is_limited():
    assert Body("pn:x", (), lambda _leash: None).group is None
