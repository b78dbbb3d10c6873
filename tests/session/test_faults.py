"""Every way in which a node fails ends the session, and names node and cause."""

import asyncio
import threading

import pytest
from failing import failure_of, read_all
from pipelines import chain, options

from penstock.data import Text
from penstock.errors import (
    NodeError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    SupervisionError,
)
from penstock.nodes.catalogue import load
from penstock.session import Session, SessionStatus

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


async def test_what_a_node_raises_is_cut_to_what_a_session_should_hear():
    error, _ = await failure_of(chain("raves"))
    assert type(error) is NodeExecutionError
    assert error.exception_message.startswith("xxx")
    assert error.exception_message.endswith("the end")
    assert "characters left out]" in error.exception_message
    assert len(error.exception_message) < 300_000


async def test_a_native_node_that_exits_ends_its_session_and_not_the_program():
    error, _ = await failure_of(chain("exits_native"))
    assert "SystemExit: 3" in str(error)


@pytest.mark.parametrize("kind", ["fails_to_set_up", "fails_to_set_up_native"])
async def test_a_node_whose_setup_failed_is_torn_down(kind):
    error, session = await failure_of(chain(kind))
    assert error.exception_message == "half way"
    assert any("let go" in fault for fault in session.context.faults)


async def test_a_kind_that_a_node_does_not_declare():
    error, _ = await failure_of(chain("breaks_its_word"))
    assert "gave json, but declares text" in str(error)
