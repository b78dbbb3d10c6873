"""What dead services left is found and removed; what lives is not touched."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import serving

from penstock.client import Client
from penstock.data import Text
from penstock.executors.multiprocess.leftovers import PROGRAM, find_leftovers, sweep, this_program

PENSTOCK = [sys.executable, "-m", "penstock"]
WAIT = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
MANIFEST = {"version": "v1", "nodes": [{"id": "e", "node_type": "EchoNode"}]}

pytestmark = pytest.mark.alone  # services that start sweep the whole machine


@contextlib.contextmanager
def waiting(program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that says it belongs to a program."""
    with subprocess.Popen(
        [sys.executable, "-c", WAIT],
        env={**os.environ, PROGRAM: program},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def dead_program() -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    return f"{done.stdout.strip()}:1"


def doctor(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [*PENSTOCK, "doctor", *arguments], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_what_the_machine_offers_is_found_by_trying() -> None:
    _, out = doctor()
    for what in ("parent-death signal", "sealed memory (memfd)", "zygote"):
        assert re.search(rf"^{re.escape(what)} +works$", out, re.MULTILINE), out
    assert re.search(r"^node memory is limited by +(RLIMIT_DATA|cgroup)$", out, re.MULTILINE)
    assert re.search(r"^open files +at most \d+", out, re.MULTILINE)


def test_a_dead_programs_process_is_found_and_a_living_ones_is_not() -> None:
    with waiting(dead_program()) as orphan, waiting(this_program()) as child:
        found = {one.pid for one in find_leftovers().processes}
        assert orphan.pid in found
        assert child.pid not in found


@pytest.mark.parametrize("said", ["", "me", "1:2:3", "-1:5", "7"])
def test_what_does_not_say_whose_it_is_is_left_alone(said: str) -> None:
    with waiting(said) as process:
        assert process.pid not in {one.pid for one in find_leftovers().processes}


def test_a_process_of_another_container_is_left_to_those_who_see_its_program() -> None:
    """There, numbers of processes mean others: its program lives, and has another number here."""
    apart = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user can't make namespaces")
    with subprocess.Popen(
        [*apart, sys.executable, "-c", WAIT],
        env={**os.environ, PROGRAM: dead_program()},
        stdout=subprocess.PIPE,
        text=True,
    ) as outside:
        assert outside.stdout is not None
        assert outside.stdout.readline() == "1\n"
        children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text()
        found = {one.pid for one in find_leftovers().processes}
        assert outside.pid in found
        assert int(children) not in found
        outside.kill()


def test_a_number_that_was_given_anew_is_not_killed() -> None:
    """What was found may have ended, and its number be somebody else's by now."""
    with waiting(dead_program()) as orphan:
        [found] = [one for one in find_leftovers().processes if one.pid == orphan.pid]
        other = type(found)(found.pid, found.started - 1, found.name)
        leftovers = find_leftovers()
        left = sweep(type(leftovers)((other,), ()), 1.0)
        assert not left
        assert orphan.poll() is None


async def test_sweep_removes_what_is_left_and_a_living_service_goes_on(tmp_path: Path) -> None:
    bind = f"unix:{tmp_path / 'living.sock'}"
    dead = f"unix:{tmp_path / 'dead.sock'}"
    with serving("--bind", dead) as (killed, _):
        killed.kill()
        killed.wait()
    assert (tmp_path / "dead.sock").exists()
    with serving("--bind", bind) as (_, address), waiting(dead_program()) as orphan:
        async with Client(address) as client, client.stream(MANIFEST) as stream:
            await stream.send("e", Text("before"))
            status, out = doctor("--bind", dead)
            assert status == 1
            assert f"process {orphan.pid} (" in out
            assert f"socket {tmp_path / 'dead.sock'}" in out
            assert orphan.poll() is None, "without --sweep nothing is removed"
            status, out = doctor("--sweep", "--bind", dead)
            assert status == 0, out
            assert orphan.wait(10) == -signal.SIGKILL
            assert not (tmp_path / "dead.sock").exists()
            assert doctor("--sweep", "--bind", bind)[0] == 0
            assert (tmp_path / "living.sock").exists()
            await stream.send("e", Text("after"))
            await stream.close()
            said = [output.value async for output in stream.outputs()]
        assert said == [Text("before"), Text("after")]


def test_a_service_sweeps_when_it_starts() -> None:
    with waiting(dead_program()) as orphan, serving("--bind", "127.0.0.1:0"):
        assert orphan.wait(10) == -signal.SIGKILL
