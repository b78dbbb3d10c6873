from __future__ import annotations

import mmap
import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penstock.session import Session
from penstock.testing import leaks
from penstock.testing.leaks import LeakCheck, Leaks, descendants

pytest_plugins = ["pytester"]

ECHO = {"version": "v1", "nodes": [{"id": "echo", "node_type": "EchoNode"}]}


def test_nothing_is_no_leak() -> None:
    leaks = LeakCheck().leaks()
    assert not leaks
    assert leaks == Leaks()


def test_a_child_is_seen_until_it_has_ended() -> None:
    check = LeakCheck()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert f"[{child.pid}]" in str(check.leaks(patience_s=0))
    assert not check.leaks()


def test_a_child_that_nobody_waited_for_is_seen() -> None:
    check = LeakCheck()
    child = subprocess.Popen([sys.executable, "-c", ""])
    leaks = check.leaks()
    child.wait()
    assert [name.partition("[")[2] for name in leaks.processes] == [f"{child.pid}] (not reaped)"]


def test_a_grandchild_is_seen() -> None:
    check = LeakCheck()
    script = "import os; pid = os.fork(); print(pid, flush=True) if pid else None; input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        grandchild = child.stdout.readline().strip()
        assert f"[{grandchild}]" in str(check.leaks(patience_s=0))


def test_shared_memory_is_seen_until_it_is_gone() -> None:
    check = LeakCheck()
    file = Path(f"/dev/shm/penstock-test-{os.getpid()}")
    file.touch()
    try:
        assert check.leaks(patience_s=0).shared_memory == (file.name,)
    finally:
        file.unlink()
    assert not check.leaks(patience_s=0).shared_memory


def test_a_named_socket_is_seen_until_it_is_closed(tmp_path: Path) -> None:
    check = LeakCheck()
    path, abstract = f"{tmp_path}/named", f"penstock-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(path)
        other.bind(f"\0{abstract}")
        assert check.leaks(patience_s=0).sockets == (path, f"@{abstract}")
    assert not check.leaks(patience_s=0)


def test_a_descriptor_is_seen_until_it_is_closed() -> None:
    check = LeakCheck()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    assert check.leaks(patience_s=0).descriptors == (f"{descriptor} → /dev/null",)
    os.close(descriptor)
    assert not check.leaks(patience_s=0)


def test_what_only_garbage_holds_is_no_leak() -> None:
    check = LeakCheck()
    ring: list[object] = [_mapped()]
    ring.append(ring)
    assert "memfd" in str(check.leaks(patience_s=0))
    del ring
    assert not check.leaks(patience_s=0)


def _mapped() -> mmap.mmap:
    """Memory that holds a descriptor of its own for as long as it is mapped."""
    descriptor = os.memfd_create("held")
    os.ftruncate(descriptor, mmap.PAGESIZE)
    memory = mmap.mmap(descriptor, mmap.PAGESIZE)
    os.close(descriptor)
    return memory


def test_a_thread_is_seen_until_it_has_ended() -> None:
    check = LeakCheck()
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="idler")
    thread.start()
    assert check.leaks(patience_s=0).threads == ("idler",)
    go.set()
    assert not check.leaks()


async def test_a_session_s_processes_are_seen_and_its_zygote_is_not() -> None:
    check = LeakCheck()
    async with Session(ECHO):
        found = check.leaks(patience_s=0)
        assert any(name.startswith("penstock-super[") for name in found.processes)
        assert any(name.startswith("pn:echo[") for name in found.processes)
        assert not any(name.startswith("penstock-zygote") for name in found.processes)
        assert any("socket:" in one for one in found.descriptors)
    assert not check.leaks()


def test_what_is_ending_is_waited_for() -> None:
    check = LeakCheck()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    reaper = threading.Thread(target=child.communicate, args=(b"\n",))
    reaper.start()
    assert not check.leaks()
    assert not [one for one in descendants() if one.pid == child.pid]


LEAKY = """
import asyncio, os, tempfile, threading
from pathlib import Path
import pytest
from penstock import Node, Session, SessionOptions, Text, node
from penstock.testing.pytest_plugin import close_zygote, isolated_ipc, no_leaked_tasks, no_leaks

WRITES = {"version": "v1", "nodes": [{"id": "n", "node_type": "writes"}]}

@node("writes")
class Writes(Node):
    def process(self, item: Text) -> Text:
        return Text(tempfile.mkdtemp(prefix="node-"))

def test_descriptor(no_leaks):
    os.open(os.devnull, os.O_RDONLY)

@pytest.mark.leaves("descriptors")
def test_marked(no_leaks):
    os.open(os.devnull, os.O_RDONLY)

async def test_task(no_leaked_tasks):
    asyncio.create_task(asyncio.Event().wait(), name="left")

def test_clean(no_leaks):
    pass

def test_file(isolated_ipc):
    assert isolated_ipc == Path(tempfile.gettempdir())
    tempfile.NamedTemporaryFile(prefix="left-", delete=False).close()

async def test_file_of_a_node(isolated_ipc):
    async with Session(WRITES, SessionOptions(nodes=(__file__,))) as session:
        await session.send("n", Text("x"))
        await session.end()
        async for output in session.outputs():
            assert Path(output.value.text).parent == isolated_ipc
"""


def test_the_fixtures_fail_the_tests_that_leak(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nmarkers = leaves\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    pytester.makepyfile(LEAKY)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=6, errors=4)
    result.stdout.fnmatch_lines(
        [
            "left behind: descriptors: * /dev/null",
            "left behind: tasks: left (Event.wait)",
            "left behind: files: left-*",
            "left behind: files: node-*",
        ]
    )


async def test_every_test_here_is_checked(request: pytest.FixtureRequest) -> None:
    assert "no_leaked_tasks" in request.node.funcargs
    assert request.getfixturevalue("no_leaks").before is not None


MAPS_A_FILE = """
import mmap, os, sys
with open(sys.argv[1], "w+b") as file:
    file.truncate(4096)
    kept = mmap.mmap(file.fileno(), 4096)
print(os.getpid(), flush=True)
input()
os.unlink(sys.argv[1])
"""
DETACHES = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""


def test_another_program_s_shared_memory_is_its_own() -> None:
    file = Path(f"/dev/shm/penstock-test-{os.getpid()}")
    check = LeakCheck()
    detaching = subprocess.Popen(
        [sys.executable, "-c", DETACHES, MAPS_A_FILE, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert detaching.stdin is not None
    assert detaching.stdout is not None
    with detaching:
        stranger = int(detaching.stdout.readline())
        detaching.wait()
        assert file.exists()
        assert not check.leaks(patience_s=0).shared_memory
        pidfd = os.pidfd_open(stranger)
        detaching.stdin.write("\n")
        detaching.stdin.close()
        select.select([pidfd], [], [])
        os.close(pidfd)
    assert not file.exists()


def test_a_socket_that_another_program_has_just_opened_is_none_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was opened behind the look at who has what; the next one sees who has it."""
    looks = iter([set(), {7}])
    monkeypatch.setattr(leaks, "_inodes_of_others", lambda _: next(looks))
    monkeypatch.setattr(leaks, "_unix_sockets", lambda: {"@another": 7})
    assert leaks._unheld(frozenset({"@another"})) == frozenset()
