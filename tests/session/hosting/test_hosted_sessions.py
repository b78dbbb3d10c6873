"""A session in a host is what it would be here, and what happens to its host is told."""

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path

import hosted_nodes
import msgspec
import numpy as np
import pytest
from hosted_nodes import gone, parent
from pipelines import chain, options, through

from penstock.data import Audio, ExecutorType, Text
from penstock.errors import (
    ConfigurationError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    SessionCancelledError,
    SupervisionError,
)
from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.supervisor import LADDER_S
from penstock.manifest import Limits
from penstock.session import Budget, Session, SessionStatus
from penstock.session.hosting.ensemble import FORCED_S
from penstock.session.hosting.hosts import BlankHost
from penstock.session.life import END_S

EMPTY = Text("")
CHAINS = [("PassThrough",), ("EchoNode",), ("shout", "repeat_native", "collect")]


def hosted(manifest, hosts, **more) -> Session:
    return Session(manifest, options([hosted_nodes.__file__], hosts=hosts, **more))


@pytest.mark.parametrize("nodes", CHAINS)
async def test_a_session_gives_what_it_gives_here(nodes, hosts):
    inputs = [Text(f"text {number}") for number in range(20)]
    async with Session(chain(*nodes), options()) as session:
        expected = await through(session, inputs)
        here = await session.metrics()
    async with hosted(chain(*nodes), hosts) as session:
        outputs = await through(session, inputs)
        there = await session.metrics()
    assert [(o.node_id, o.value, o.sequence, o.part) for o in outputs] == [
        (o.node_id, o.value, o.sequence, o.part) for o in expected
    ]
    assert session.context.status is SessionStatus.TERMINATED
    assert session.context.faults == []
    told = [
        {
            name: (node.executor, node.items_processed, node.outputs)
            for name, node in m.nodes.items()
        }
        for m in (here, there)
    ]
    assert told[0] == told[1]
    lanes = [
        {(ln.source, ln.target): (ln.sent, ln.received) for ln in m.lanes} for m in (here, there)
    ]
    assert lanes[0] == lanes[1]


async def test_nothing_of_the_pipeline_runs_in_this_process(hosts):
    async with hosted(chain("whereabouts"), hosts) as session:
        (output,) = await through(session, [Text("")])
        pid = (await session.metrics()).nodes["n0"].pid
    assert pid == int(output.value.text)
    assert pid != os.getpid()
    await gone(pid)


async def test_payloads_cross_in_shared_memory_unchanged(hosts):
    samples = np.random.default_rng(1).random((12_000, 2), dtype=np.float32)
    async with hosted(chain("PassThrough", "EchoNode"), hosts) as session:
        outputs = await through(session, [Audio(samples, 48_000)] * 3)
        metrics = await session.metrics()
    assert all(np.array_equal(output.value.samples, samples) for output in outputs)
    assert sum(lane.copies for lane in metrics.lanes) == 3  # each on its way in, never again


async def test_each_host_has_one_session(hosts):
    pids = set()
    for _ in range(3):
        async with hosted(chain("whereabouts"), hosts) as session:
            (output,) = await through(session, [Text("")])
            pids.add(int(output.value.text))
    assert len(pids) == 3


async def test_its_context_shows_executors_and_bridges(hosts):
    async with hosted(chain("PassThrough", "EchoNode"), hosts) as session:
        kinds = [ExecutorType.NATIVE, ExecutorType.MULTIPROCESS]
        assert list(session.context.executors) == kinds
        assert len(session.context.data_bridges) == 3
        for kind in kinds:
            assert session.context.executors[kind].executor_type is kind
    assert session.context.executors == {}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("raise_in_setup", NodeExecutionError), ("raise_in_process", NodeExecutionError)],
)
@pytest.mark.parametrize("executor", ["native", "multiprocess"])
async def test_what_a_node_raises_arrives_with_its_traceback(kind, expected, executor, hosts):
    session = hosted(chain(kind, executor_overrides={"n0": executor}), hosts)
    error = await failure_of(session)
    assert type(error) is expected
    assert error.node_id == "n0"
    assert "faults" in error.traceback


async def failure_of(session, value=EMPTY) -> PenstockError:
    """What the session fails with, at its start or for one input."""
    with pytest.raises(PenstockError) as told:
        await one_input(session, value)
    assert session.context.status is SessionStatus.TERMINATED
    return told.value


async def one_input(session, value):
    async with session:
        await session.send("n0", value)
        await session.end()
        async for _ in session.outputs():
            pass


async def failure_while(session, act) -> PenstockError:
    """What the session fails with when something is done to it while it works."""
    async with session:
        await session.send("n0", Text(""))
        first = await anext(session.outputs())
        act(int(first.value.text))
        with pytest.raises(PenstockError) as told:
            await send_for_ever(session)
    assert session.context.status is SessionStatus.TERMINATED
    return told.value


async def send_for_ever(session):
    while True:
        await session.send("n0", Text(""))
        await asyncio.sleep(0)


async def test_a_killed_host_ends_its_session_and_its_nodes(hosts):
    manifest = chain("whereabouts", "EchoNode")
    session = hosted(manifest, hosts)
    nodes = []

    def kill(host):
        nodes.append(host)
        os.kill(host, signal.SIGKILL)

    error = await failure_while(session, kill)
    assert type(error) is SupervisionError
    assert f"its host process {nodes[0]} was killed by SIGKILL" in str(error)
    await gone(*nodes, *[node.pid for node in (await session.metrics()).nodes.values()])


async def test_a_killed_supervisor_takes_host_and_nodes_along(hosts):
    session = hosted(chain("whereabouts", "EchoNode"), hosts)
    pids = []

    def kill(host):
        pids.append(host)
        os.kill(parent(host), signal.SIGKILL)

    error = await failure_while(session, kill)
    assert type(error) is SupervisionError
    assert "its supervisor process has died" in str(error)
    await gone(*pids)


async def test_a_native_node_that_crashes_takes_only_its_own_session_along(hosts):
    async with hosted(chain("whereabouts"), hosts) as other:
        crashing = chain("segfault_in_process", executor_overrides={"n0": "native"})
        error = await failure_of(hosted(crashing, hosts))
        assert type(error) is NodeExitedError
        assert (error.node_id, error.signal) == ("n0", "SIGSEGV")
        assert "faults" in error.stderr  # where it was
        (output,) = await through(other, [Text("")])
        assert int(output.value.text) != os.getpid()


async def test_a_native_node_that_holds_the_gil_can_be_left(hosts):
    session = hosted(chain("hold_the_gil", executor_overrides={"n0": "native"}), hosts)
    async with session:
        await session.send("n0", Text(""))
        async with asyncio.timeout(20):
            await session.cancel("enough")
    assert session.context.status is SessionStatus.TERMINATED
    assert any("did not end by itself" in fault for fault in session.context.faults)


async def test_a_native_node_that_holds_the_gil_too_long_is_named(hosts):
    manifest = chain("hold_the_gil", executor_overrides={"n0": "native"}, process_timeout_secs=0.3)
    error = await failure_of(hosted(manifest, hosts))
    assert type(error) is NodeTimeoutError
    assert (error.node_id, error.during, error.limit_s) == ("n0", "process", 0.3)
    assert "faults" in error.stacks


@pytest.mark.parametrize("how", ["at once", "numpy"])
async def test_native_nodes_have_their_memory_together(how, hosts):
    """Each pays for its own session, and a session without a limit has none."""
    manifest = chain("hungry", "PassThrough", executor_overrides={"n0": "native"})
    async with hosted(manifest, hosts) as session:
        assert len(await through(session, [Text("at once")])) == 1
    manifest["metadata"]["multiprocess"]["node_memory_bytes"] = 100 << 20
    error = await failure_of(hosted(manifest, hosts), Text(how))
    assert type(error) is NodeExecutionError
    assert error.node_id == "n0"
    assert error.exception_type.endswith("MemoryError")


async def test_hosts_go_before_the_service_when_memory_is_short(hosts):
    async with hosted(chain("whereabouts", "EchoNode"), hosts) as session:
        await through(session, [Text("")])
        nodes = (await session.metrics()).nodes.values()
        scores = [oom_score(node.pid) for node in nodes]
    assert min(scores) > oom_score(os.getpid())


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


async def test_a_session_can_be_left_while_it_starts(hosts):
    session = hosted(chain("hang_in_setup"), hosts)
    starting = asyncio.create_task(session.start())
    await asyncio.sleep(0)  # it has begun
    await session.cancel("never mind")
    with pytest.raises(SessionCancelledError, match="never mind"):
        await starting


async def test_a_blank_host_that_died_is_passed_over(hosts):
    os.kill(await blank_pid(hosts), signal.SIGKILL)
    async with hosted(chain("whereabouts"), hosts) as session:
        assert len(await through(session, [Text("")])) == 1


async def test_a_dead_zygote_is_replaced_and_running_sessions_go_on(hosts):
    async with hosted(chain("whereabouts", "EchoNode"), hosts) as session:
        os.kill(LAUNCHER.pid, signal.SIGKILL)
        async with hosted(chain("whereabouts"), hosts) as other:
            assert len(await through(other, [Text("")])) == 1
        assert len(await through(session, [Text(""), Text("")])) == 2


async def test_a_module_that_can_not_be_imported_there_is_told(hosts):
    session = hosted(chain("whereabouts"), hosts)
    broken = session.plan.node("n0")
    object.__setattr__(broken, "provider", "no.such.module:Node")
    with pytest.raises(ConfigurationError, match=r"no\.such\.module"):
        await session.start()
    await session.aclose()


async def test_it_costs_a_pool_for_the_front_door_and_one_for_the_host(hosts):
    limits = Limits(max_shared_memory_bytes=2 * (8 << 20))
    tight = Budget(limits)
    manifest = chain("PassThrough", max_message_bytes=1 << 20)
    async with hosted(manifest, hosts, budget=tight) as session:
        assert tight.sessions == (session.session_id,)
    assert tight.sessions == ()


async def test_output_of_native_nodes_is_heard(hosts):
    said = []
    session = hosted(chain("whereabouts"), hosts, on_output=said.append)
    async with session:
        await through(session, [Text("loud")])
    assert "loud" in [output.line for output in said]


async def test_output_that_nobody_asked_for_is_logged_with_its_session_and_its_host(hosts, caplog):
    caplog.set_level(logging.INFO, logger="penstock.node")
    async with hosted(chain("whereabouts"), hosts) as session:
        await through(session, [Text("steer\x1b[2Jme")])
    [told] = [record for record in caplog.records if record.name.startswith("penstock.node")]
    assert told.name == "penstock.node"  # no logger for each node: they would pile up
    said = r"'steer\x1b[2Jme'"
    assert told.getMessage() == f"session {session.session_id}, its host, stdout: {said}"


async def test_what_the_host_takes_is_told_and_counts(hosts):
    async with hosted(chain("whereabouts", "EchoNode"), hosts) as session:
        await through(session, [Text("")])
        live = await session.metrics()
    for metrics in (live, await session.metrics()):
        native, own = metrics.nodes["n0"], metrics.nodes["n1"]
        assert native.pid == metrics.host.pid != own.pid
        assert 0 < metrics.host.cpu_time_s < metrics.wall_time_s + 1
        assert metrics.host.peak_memory_bytes > 1 << 20
        assert metrics.cpu_time_s == metrics.host.cpu_time_s + own.cpu_time_s
        both = metrics.host.peak_memory_bytes + own.peak_memory_bytes
        assert metrics.peak_memory_bytes == both


async def test_a_session_here_has_no_host():
    async with Session(chain("PassThrough"), options()) as session:
        await through(session, [Text("")])
        assert (await session.metrics()).host is None


async def blank_pid(hosts) -> int:
    """The process of its only blank host, once that has been forked."""
    (blank,) = hosts._blanks
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_reader(blank.supervisor.fileno(), told.set)
    await told.wait()
    loop.remove_reader(blank.supervisor.fileno())
    frame = blank.supervisor.recv(1 << 16, socket.MSG_PEEK)
    return msgspec.msgpack.decode(frame[1:], type=messages.Spawned).pid


def test_closing_ends_those_that_wait(no_leaks):
    blank = BlankHost.fork()
    assert not blank.is_gone
    blank.close()


async def test_a_node_that_kills_its_host_as_it_is_imported_is_told_of(hosts, tmp_path):
    """The host has said nothing by then: another has been tried, and nothing is left of either."""
    module = tmp_path / "deadly_nodes.py"
    module.write_text(
        "import os, signal\n"
        "from pathlib import Path\n"
        "from penstock.nodes import Node, node\n"
        "if Path('/proc/self/comm').read_text() == 'penstock-host\\n':\n"
        "    os.write(2, b'about to die\\n')\n"
        "    os.kill(os.getpid(), signal.SIGSEGV)\n"
        "@node('deadly', executor='native')\n"
        "class Deadly(Node):\n"
        "    def process(self, item): return item\n"
    )
    error = await failure_of(Session(chain("deadly"), options([str(module)], hosts=hosts)))
    assert isinstance(error, SupervisionError)
    assert "was killed by SIGSEGV" in str(error)
    assert "about to die" in str(error)


async def test_what_a_native_node_raises_at_length_is_cut(hosts):
    error = await failure_of(hosted(chain("long_winded"), hosts))
    assert type(error) is NodeExecutionError
    assert error.node_id == "n0"
    assert "characters left out" in error.exception_message


async def test_a_node_that_kills_its_host_in_setup_is_named_and_not_tried_again(hosts, tmp_path):
    """Also where nobody listens to its progress, so that its host has said nothing yet."""
    log = tmp_path / "tries"
    module = tmp_path / "short_lived_nodes.py"
    module.write_text(
        "import os, signal\n"
        "from penstock.nodes import Node, node\n"
        "@node('short_lived', executor='native')\n"
        "class ShortLived(Node):\n"
        "    def setup(self):\n"
        f"        with open({str(log)!r}, 'a') as log: log.write('x')\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    def process(self, item): return item\n"
    )
    error = await failure_of(Session(chain("short_lived"), options([str(module)], hosts=hosts)))
    assert isinstance(error, NodeExitedError)
    assert (error.node_id, error.signal) == ("n0", "SIGSEGV")
    assert log.read_text() == "x"


def test_the_end_of_a_hosted_session_takes_five_seconds_at_most():
    assert END_S + LADDER_S + FORCED_S <= 5


async def test_a_stuck_supervisor_does_not_keep_a_hosted_session_from_its_end(hosts):
    session = hosted(chain("whereabouts"), hosts)
    async with session:
        await session.send("n0", Text(""))
        host = int((await anext(session.outputs())).value.text)
        stuck = parent(host)
        os.kill(stuck, signal.SIGSTOP)
        await session.cancel("enough")
    assert session.context.faults == ["its host did not end by itself"]
    await gone(host, stuck)
