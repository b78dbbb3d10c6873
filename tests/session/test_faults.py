"""Every way to fail ends the session, names node and cause, and leaves nothing running."""

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from pipelines import chain, options

from penstock.data import Text
from penstock.errors import (
    ConfigurationError,
    InputError,
    LaneError,
    NodeError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    ResourceLimitError,
    SessionCancelledError,
    SessionError,
    StallError,
    SupervisionError,
)
from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import decoder, encoded
from penstock.executors.multiprocess.child import Child
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.supervisor import Supervisor
from penstock.executors.multiprocess.transport import socket_pair
from penstock.manifest import Limits
from penstock.nodes.catalogue import load
from penstock.session import Budget, Session, SessionStatus


async def failure_of(manifest, inputs=3):
    """What the session fails with, at the reader and at the sender; and the session."""
    session = Session(manifest, options())
    error = sender = None
    try:
        await session.start()
        feeding = asyncio.create_task(feed(session, inputs))
        try:
            await read_all(session)
        except PenstockError as exc:
            error = exc
        sender = (await asyncio.gather(feeding, return_exceptions=True))[0]
    except PenstockError as exc:
        error = exc
    await session.aclose()
    assert session.context.status is SessionStatus.TERMINATED
    assert sender is None or sender is error
    return error, session


async def read_all(session):
    async for _ in session.outputs():
        pass


async def feed(session, inputs):
    for _ in range(inputs):
        await session.send("n0", Text("x"))
    await session.end()


BORDERS = [("PassThrough", "{}", "EchoNode"), ("EchoNode", "{}", "PassThrough"), ("{}",)]


def around(border, kind):
    return chain(*(kind if name == "{}" else name for name in border))


@pytest.mark.parametrize("border", BORDERS)
async def test_raise_in_process(border):
    error, session = await failure_of(around(border, ("raise_in_process", {"on": 2})))
    assert type(error) is NodeExecutionError
    assert error.node_id == f"n{border.index('{}')}"
    assert error.during == "process"
    assert error.exception_type == "ValueError"
    assert "can't digest input 2" in error.exception_message
    assert "faults.py" in error.traceback
    assert "about to fail" in error.stderr
    assert session.context.error == str(error)
    assert SessionStatus.ERROR in session.context.machine.history


@pytest.mark.parametrize(
    ("kind", "during"), [("raise_in_setup", "setup"), ("raise_in_flush", "flush")]
)
@pytest.mark.parametrize("executor", ["native", "multiprocess"])
async def test_raise_elsewhere(kind, during, executor):
    manifest = chain("PassThrough", kind, executor_overrides={"n1": executor})
    error, _ = await failure_of(manifest)
    assert type(error) is NodeExecutionError
    assert (error.node_id, error.during) == ("n1", during)


@pytest.mark.parametrize("executor", ["native", "multiprocess"])
async def test_raise_in_teardown_is_recorded_and_the_session_still_ends(executor):
    manifest = chain("PassThrough", "raise_in_teardown", executor_overrides={"n1": executor})
    error, session = await failure_of(manifest)
    assert error is None
    assert "can't close the model" in session.context.faults[0]


async def test_return_rubbish():
    error, _ = await failure_of(chain("return_rubbish"))
    assert "expected Audio, Binary, Control, Json, Tensor, Text, Video or None, got int" in str(
        error
    )


async def test_a_plain_method_that_gives_an_awaitable():
    error, _ = await failure_of(chain("awaitable_from_plain"))
    assert "declare the method async" in str(error)


@pytest.mark.parametrize("border", BORDERS)
async def test_exit_in_process(border):
    error, _ = await failure_of(around(border, "exit_in_process"))
    assert type(error) is NodeExitedError
    assert (error.exit_code, error.signal) == (3, None)
    assert error.stderr == "giving up"


async def test_exit_in_setup():
    error, session = await failure_of(chain("PassThrough", "exit_in_setup", "EchoNode"))
    assert type(error) is NodeExitedError
    assert (error.node_id, error.exit_code) == ("n1", 7)
    assert list(session.context.machine.history) == ["Initializing", "Error", "Terminated"]


async def test_segfault_in_process():
    error, _ = await failure_of(chain("PassThrough", "segfault_in_process", "EchoNode"))
    assert type(error) is NodeExitedError
    assert (error.node_id, error.signal) == ("n1", "SIGSEGV")


@pytest.mark.parametrize("executor", ["native", "multiprocess"])
async def test_hang_in_setup(executor):
    kind = "slow_setup" if executor == "native" else "hang_in_setup"
    manifest = chain("PassThrough", kind, "EchoNode", init_timeout_secs=1)
    error, _ = await failure_of(manifest)
    assert type(error) is NodeTimeoutError
    assert (error.node_id, error.during, error.limit_s) == ("n1", "setup", 1)


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


def is_running(pid):
    return Path(f"/proc/{pid}").exists()


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


@pytest.mark.parametrize(
    ("kind", "during"), [("collect_native", "setup"), ("repeat_native", "process")]
)
async def test_a_native_node_is_not_to_blame_where_no_thread_can_be_had(kind, during, monkeypatch):
    start = threading.Thread.start

    def start_no_nodes(thread):
        if thread.name == "penstock-n0":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_no_nodes)
    error, _ = await failure_of(chain(kind))
    assert type(error) is SupervisionError
    lacking = "there is no room for another (ulimit -u, pids.max, or memory)"
    assert str(error) == f"node 'n0' can't have a thread for {during}: {lacking}"


async def test_what_a_node_left_behind_goes_with_its_session():
    error, _ = await failure_of(chain("setsid_grandchild"))
    assert error is None


async def test_flooding_output_does_not_hold_up_the_pipeline():
    error, _ = await failure_of(chain("flood_stdout", "EchoNode"), inputs=20)
    assert error is None


async def test_what_a_node_says_is_heard_with_its_name():
    heard = []
    async with Session(
        chain(("raise_in_process", {"on": 1})), options(on_output=heard.append)
    ) as session:
        await session.send("n0", Text("x"))
        with pytest.raises(NodeExecutionError):
            await read_all(session)
    assert ("n0", "stderr", "about to fail") in [(o.node_id, o.stream, o.line) for o in heard]


async def test_a_client_that_writes_everything_before_it_reads_is_told_so():
    manifest = chain("PassThrough", "EchoNode", channel_capacity=2, stall_timeout_secs=0.5)
    async with Session(manifest, options()) as session:
        with pytest.raises(StallError) as stalled:
            await feed(session, 100)
    assert stalled.value.ring == ("client", "n0", "n1")
    assert "client → n0 → n1 → client" in str(stalled.value)


async def test_a_slow_reader_is_no_stall():
    """Though credit comes back only now and then, and none within the time limit."""
    manifest = chain("EchoNode", channel_capacity=40, stall_timeout_secs=0.3)
    async with Session(manifest, options()) as session:
        feeding = asyncio.create_task(feed(session, 150))
        count = 0
        async for _ in session.outputs():
            count += 1
            if count <= 8:
                await asyncio.sleep(0.1)
        await feeding
    assert count == 150


async def test_a_slow_node_is_no_stall():
    manifest = chain("hang_in_process", channel_capacity=1, stall_timeout_secs=0.2)
    async with Session(manifest, options()) as session:
        await session.send("n0", Text("x"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed(session, 10), 1)
        assert session.context.status is SessionStatus.EXECUTING


async def test_progress_is_told_for_every_node():
    told = []
    async with Session(chain("PassThrough", "EchoNode"), options(on_progress=told.append)):
        pass
    for node_id in ("n0", "n1"):
        stages = [p.stage for p in told if p.node_id == node_id]
        assert stages == ["starting", "loading_model", "ready"]
    assert told[-1].fraction == 1.0
    assert [p.elapsed_s for p in told] == sorted(p.elapsed_s for p in told)


async def test_a_node_tells_how_far_its_model_is_and_can_be_given_up():
    told = asyncio.Queue()
    session = Session(chain("slow_setup"), options(on_progress=told.put_nowait))
    starting = asyncio.create_task(session.start())
    while (progress := await told.get()).fraction != 0.5:
        pass
    assert (progress.stage, progress.message) == ("loading_model", "half of the weights")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert list(session.context.machine.history) == ["Initializing", "Error", "Terminated"]
    assert session.context.error == "session ended early: client disconnected"


async def test_a_client_that_leaves_before_anything_ran():
    session = Session(chain("EchoNode"), options())
    await session.start()
    await session.cancel("client disconnected")
    assert list(session.context.machine.history) == [
        "Initializing", "Ready", "Terminating", "Terminated",
    ]  # fmt: skip


async def test_leaving_early_ends_the_session():
    async with Session(chain("PassThrough", "EchoNode"), options()) as session:
        await session.send("n0", Text("x"))
    assert session.context.status is SessionStatus.TERMINATED
    assert "closed before its end" in session.context.error


async def test_the_budget_is_shared_and_given_back():
    budget = Budget(Limits(max_processes=2))
    two = chain("EchoNode", "EchoNode", max_processes_per_session=2)
    async with Session(two, options(budget=budget)):
        with pytest.raises(ResourceLimitError) as refused:
            await Session(chain("EchoNode", max_processes_per_session=1),
                          options(budget=budget)).start()  # fmt: skip
        assert (refused.value.wished, refused.value.free, refused.value.limit) == (1, 0, 2)
    async with Session(two, options(budget=budget)):
        pass
    assert budget.sessions == ()


async def test_a_failed_start_gives_its_budget_back():
    budget = Budget(Limits())
    session = Session(chain("raise_in_setup"), options(budget=budget))
    with pytest.raises(NodeExecutionError):
        await session.start()
    assert budget.sessions == ()


async def test_a_session_id_is_unique_among_the_living():
    budget = Budget(Limits())
    async with Session(chain("PassThrough"), options(budget=budget, session_id="one")):
        with pytest.raises(SessionError, match="'one' is taken by a living session"):
            await Session(chain("PassThrough"), options(budget=budget, session_id="one")).start()


def test_nodes_that_can_not_be_loaded_are_told_of_before_anything_starts():
    from penstock.session import SessionOptions

    with pytest.raises(ConfigurationError, match="no_such_module"):
        Session(chain("PassThrough"), SessionOptions(nodes=("no_such_module",)))


@pytest.mark.parametrize("kind", ["cancelled_inside", "cancelled_inside_native"])
async def test_a_node_that_is_cancelled_by_itself(kind):
    error, _ = await failure_of(chain(kind))
    assert type(error) is NodeExecutionError
    assert error.exception_type == "CancelledError"


@pytest.mark.parametrize("what", ["unreadable", "generator exit", "surrogate", "group"])
@pytest.mark.parametrize("kind", ["awkward", "awkward_native"])
async def test_awkward_exceptions_end_the_session_like_any_other(kind, what):
    async with Session(chain(kind), options()) as session:
        await session.send("n0", Text(what))
        with pytest.raises(NodeError) as failed:
            await read_all(session)
    assert failed.value.node_id == "n0"


async def test_a_producer_that_can_not_be_closed():
    async with Session(chain("bad_close"), options()) as session:
        outputs = session.outputs()
        await anext(outputs)
        await session.end()
        with pytest.raises(NodeExecutionError, match="device is busy"):
            async for _ in outputs:
                pass


async def test_a_node_that_does_not_heed_its_cancellation_is_left_behind():
    session = Session(chain("deaf"), options())
    await session.start()
    await session.send("n0", Text("x"))
    await asyncio.sleep(0)
    await asyncio.wait_for(session.cancel("enough"), 5)
    assert session.context.status is SessionStatus.TERMINATED
    left = [task for task in asyncio.all_tasks() if task.get_name() == "node n0"]
    load(session.plan.node("n0").provider).heard.set()
    await asyncio.wait(left)


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_rubbish_on_a_lane_ends_the_session_and_names_where(which):
    """On the node's two lanes and its control channel, in whatever order it has them."""
    manifest = chain("EchoNode", ("talks_rubbish", {"which": which}), "EchoNode")
    error, _ = await failure_of(manifest)
    assert isinstance(error, LaneError | NodeError)
    assert "n1" in str(error)


async def test_rubbish_on_the_control_channel_names_the_node_and_what_was_wrong():
    error, _ = await failure_of(chain("EchoNode", "babbles", "EchoNode"))
    assert type(error) is NodeError
    assert str(error) == (
        "node 'n1': its process sent what is no control message: expected a frame that starts "
        "with 00 or 01, got 72 75 62 62 69 73 68"
    )


async def test_a_node_that_hangs_up_on_its_session_is_named():
    error, _ = await failure_of(chain("EchoNode", "hangs_up", "EchoNode"))
    assert type(error) is NodeError
    assert "node 'n1': its process closed its control channel, and didn't end" in str(error)


async def test_what_a_node_raises_is_cut_to_what_a_session_should_hear():
    error, _ = await failure_of(chain("raves"))
    assert type(error) is NodeExecutionError
    assert error.exception_message.startswith("xxx")
    assert error.exception_message.endswith("the end")
    assert "characters left out]" in error.exception_message
    assert len(error.exception_message) < 300_000


async def test_descriptors_that_a_node_sends_along_are_closed():
    async with Session(chain("gives_descriptors"), options()) as session:
        outputs = session.outputs()
        held = []
        for _ in range(5):
            await session.send("n0", Text("x"))
            await anext(outputs)
            await session.metrics()
            held.append(len(os.listdir("/proc/self/fd")))
    assert held[-1] == held[0]


async def test_a_process_ends_though_nobody_can_hear_its_last_words():
    """It would go on as a second supervisor, whose frames are above its own, and be killed."""
    error, session = await failure_of(chain("loses_stdout"), inputs=1)
    assert error is None
    assert session.context.faults == []


async def test_a_signal_without_a_name():
    error, _ = await failure_of(chain("signalled"))
    assert type(error) is NodeExitedError
    assert error.signal == "signal 40"


async def test_a_session_whose_event_loop_ends_around_it_is_cleaned_up():
    session = Session(chain("EchoNode"), options())
    await session.start()
    pid = (await session.metrics()).nodes["n0"].pid
    session._root.cancel()
    await asyncio.wait([session._root])
    assert session.context.status is SessionStatus.TERMINATED
    assert not is_running(pid)


@pytest.mark.parametrize(
    "wrong", [{"timestamp_us": 1 << 64}, {"timestamp_us": 1.5}, {"sequence": 1.5}]
)
async def test_numbers_that_no_message_can_carry(wrong):
    async with Session(chain("EchoNode"), options()) as session:
        with pytest.raises(InputError, match="must be"):
            await session.send("n0", Text("x"), **wrong)


async def test_a_native_node_that_exits_ends_its_session_and_not_the_program():
    error, _ = await failure_of(chain("exits_native"))
    assert "SystemExit: 3" in str(error)


async def test_a_chatty_child_does_not_hide_how_a_node_died():
    error, _ = await failure_of(chain("leaves_chatter"))
    assert type(error) is NodeExitedError
    assert error.exit_code == 3


@pytest.mark.parametrize("kind", ["fails_to_set_up", "fails_to_set_up_native"])
async def test_a_node_whose_setup_failed_is_torn_down(kind):
    error, session = await failure_of(chain(kind))
    assert error.exception_message == "half way"
    assert any("let go" in fault for fault in session.context.faults)


async def test_a_kind_that_a_node_does_not_declare():
    error, _ = await failure_of(chain("breaks_its_word"))
    assert "gave json, but declares text" in str(error)


async def test_outputs_have_one_reader():
    async with Session(chain("PassThrough"), options()) as session:
        await session.send("n0", Text("x"))
        reader = session.outputs()
        assert (await anext(reader)).value == Text("x")
        with pytest.raises(SessionError, match="one reader"):
            await read_all(session)
        await reader.aclose()


async def test_a_failure_that_nobody_heard_of_is_raised_at_the_end():
    session = Session(chain("exit_in_process"), options())
    with pytest.raises(NodeExitedError):
        await send_and_leave(session)


async def send_and_leave(session):
    async with session:
        await session.send("n0", Text("x"))
        await session._life.over.wait()


async def test_a_callback_that_raises_does_not_end_the_session():
    async with Session(chain("EchoNode"), options(on_progress=lambda _: 1 / 0)) as session:
        await session.send("n0", Text("x"))
        await session.end()
        assert [o.value async for o in session.outputs()] == [Text("x")]


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
