"""Processes that die or hang, at whatever level, are named, and nothing is left running."""

import asyncio
import errno
import os
import signal
import socket
import sys
import time

import pytest
from failing import failure_of, is_running, read_all
from pipelines import chain, options

from penstock.data import Text
from penstock.errors import (
    NodeExitedError,
    ResourceLimitError,
    SessionCancelledError,
    SupervisionError,
)
from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import decoder, encoded
from penstock.executors.multiprocess.child import Child
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.supervisor import Supervisor
from penstock.executors.multiprocess.transport import socket_pair
from penstock.session import Session, SessionStatus


@pytest.mark.parametrize("kind", ["hang_in_process", "ignore_sigterm", "hang_in_teardown"])
async def test_a_hanging_node_is_ended_when_its_session_is_cancelled(kind):
    session = Session(chain("EchoNode", kind, "EchoNode"), options())
    await session.start()
    await session.send("n0", Text("x"))
    pids = [node.pid for node in (await session.metrics()).nodes.values()]
    started = time.monotonic()
    await session.cancel("changed my mind")
    assert time.monotonic() - started < 5
    assert [pid for pid in pids if is_running(pid)] == []
    with pytest.raises(SessionCancelledError, match="changed my mind"):
        await session.send("n0", Text("x"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
@pytest.mark.parametrize("victim", [0, 1, 2])
async def test_a_killed_node_is_named_with_its_signal(number, victim):
    async with Session(chain("EchoNode", "EchoNode", "EchoNode"), options()) as session:
        await session.send("n0", Text("x"))
        os.kill((await session.metrics()).nodes[f"n{victim}"].pid, number)
        with pytest.raises(NodeExitedError) as failed:
            await read_all(session)
    assert failed.value.node_id == f"n{victim}"
    assert failed.value.signal == number.name


async def test_a_killed_supervisor_takes_everything_with_it():
    async with Session(chain("EchoNode", "setsid_grandchild"), options()) as session:
        nodes = (await session.metrics()).nodes
        os.kill(parent_of(nodes["n0"].pid), signal.SIGKILL)
        with pytest.raises(SupervisionError, match="its supervisor process has died"):
            await read_all(session)


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


async def test_a_killed_zygote_does_not_hurt_running_sessions_and_is_replaced():
    async with Session(chain("EchoNode"), options()) as session:
        await session.send("n0", Text("before"))
        first = LAUNCHER.pid
        os.kill(first, signal.SIGKILL)
        await session.send("n0", Text("after"))
        async with Session(chain("EchoNode"), options()) as other:
            await other.send("n0", Text("new"))
            await other.end()
            assert [o.value.text async for o in other.outputs()] == ["new"]
        await session.end()
        assert [o.value.text async for o in session.outputs()] == ["before", "after"]
    assert LAUNCHER.pid != first


async def test_a_zygote_that_is_stuck_is_replaced(monkeypatch):
    """It alone is hurried: those before and after it may take as long as they do anywhere.

    That its processes are silent is no fault of those that are started in their place.
    """
    monkeypatch.setattr("penstock.executors.multiprocess.executor.DEATH_NOTICE_S", 0.05)
    async with Session(chain("EchoNode"), options()) as session:
        stuck, started = LAUNCHER.pid, LAUNCHER.started
        os.kill(stuck, signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, stuck, os.WSTOPPED | os.WNOWAIT)
        monkeypatch.setattr("penstock.executors.multiprocess.supervision.HIRE_S", 0.01)
        async with Session(chain("EchoNode"), options()) as other:
            await other.send("n0", Text("new"))
            assert (await anext(other.outputs())).value == Text("new")
            await other.end()
        await session.send("n0", Text("old"))
        assert (await anext(session.outputs())).value == Text("old")
        await session.end()
    assert LAUNCHER.pid != stuck
    assert LAUNCHER.started == started + 1


async def test_a_burst_is_served_however_long_a_zygote_takes_to_fork_all_of_it(monkeypatch):
    """The last of it comes later than a zygote may take for one."""
    async with Session(chain("EchoNode"), options()) as session:
        await session.end()
    monkeypatch.setattr("penstock.executors.multiprocess.supervision.HIRE_S", 0.5)
    started = LAUNCHER.started

    async def opened(number):
        await asyncio.sleep(0.002 * number)
        async with Session(chain("EchoNode"), options()) as session:
            await session.end()

    await asyncio.gather(*(opened(number) for number in range(150)))
    assert LAUNCHER.started == started


async def test_a_supervisor_that_is_stuck_does_not_keep_its_session_from_its_end():
    session = Session(chain("EchoNode", "setsid_grandchild"), options())
    await session.start()
    nodes = (await session.metrics()).nodes
    os.kill(parent_of(nodes["n0"].pid), signal.SIGSTOP)
    await asyncio.wait_for(session.cancel("enough"), 10)
    assert any("its supervisor did not stop in" in fault for fault in session.context.faults)


async def test_a_supervisor_that_can_not_fork_says_so(monkeypatch):
    """By a limit of processes that is reached, which root doesn't have: so by its fork."""
    monkeypatch.setattr(Child, "start", no_more_processes)
    ours, theirs = socket_pair()
    control, ends = socket_pair()
    supervisor = Supervisor(theirs)
    order = encoded(messages.Spawn("n0", 1.0, None, None))
    with ours, control, ends:
        socket.send_fds(ours, [order], [ends.fileno()])
        supervisor._reactor.poll(0)
        frame = ours.recv(4096)
        supervisor._owner.close()
        supervisor._reactor.close()
    said = decoder(messages.FromSupervisor).decode(frame[1:])
    assert said.reason.startswith("the user, or the service's control group, has all the processes")


def no_more_processes(*_):
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


async def test_what_a_node_left_behind_goes_with_its_session():
    error, _ = await failure_of(chain("setsid_grandchild"))
    assert error is None


async def test_a_process_ends_though_nobody_can_hear_its_last_words():
    """It would go on as a second supervisor, whose frames are above its own, and be killed."""
    error, session = await failure_of(chain("loses_stdout"), inputs=1)
    assert error is None
    assert session.context.faults == []


async def test_a_signal_without_a_name():
    error, _ = await failure_of(chain("signalled"))
    assert type(error) is NodeExitedError
    assert error.signal == "signal 40"


async def test_a_chatty_child_does_not_hide_how_a_node_died():
    error, _ = await failure_of(chain("leaves_chatter"))
    assert type(error) is NodeExitedError
    assert error.exit_code == 3


async def test_a_start_that_finds_no_descriptors_left_leaves_nothing(monkeypatch):
    def exhausted():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("penstock.executors.multiprocess.executor.socket_pair", exhausted)
    session = Session(chain("EchoNode"), options())
    with pytest.raises(ResourceLimitError, match="open files of process"):
        await session.start()
    assert session.context.status is SessionStatus.TERMINATED


async def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"if __name__ == '__main__'" in said


UNGUARDED = """
import asyncio
from penstock.data import Text
from penstock.nodes import Node, node
from penstock.session import Session, SessionOptions

@node("here")
class Here(Node):
    def process(self, item: Text) -> Text:
        return item

async def main():
    manifest = {"version": "v1", "nodes": [{"id": "n", "node_type": "here"}], "connections": []}
    async with Session(manifest, SessionOptions(nodes=(Here,))) as session:
        pass

asyncio.run(main())
"""
