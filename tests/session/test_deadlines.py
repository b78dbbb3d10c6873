"""A node that takes too long is named, with the method, the limit, and where it was."""

import asyncio
import os
import signal
import sys

import hanging_nodes
import pytest
from pipelines import chain, options, run

from penstock.data import Text
from penstock.errors import NodeTimeoutError, PenstockError
from penstock.executors.multiprocess import supervisor
from penstock.executors.multiprocess.deadlines import STACKS_S
from penstock.nodes.catalogue import load
from penstock.session import Session, SessionStatus
from penstock.session.life import END_S

LIMIT_S = 0.3
PLAIN = ["hanging", "hanging_native"]
ASYNC = ["hanging_async", "hanging_async_native"]


def with_hanging(**more):
    return options(more_nodes=(hanging_nodes.__file__,), **more)


async def failure_of(kind, params=None, inputs=1, **multiprocess):
    """What a session of one node fails with."""
    session = Session(chain((kind, params or {}), **multiprocess), with_hanging())
    try:
        await session.start()
        for _ in range(inputs):
            await session.send("n0", Text("x"))
        await session.end()
        async for _ in session.outputs():
            pass
    except PenstockError as exc:
        return exc
    finally:
        await session.aclose()
        release(session)
        assert session.context.status is SessionStatus.TERMINATED
    return None


def release(session):
    """The node's module was loaded by its file: it is not the one that is imported here."""
    sys.modules[load(session.plan.node("n0").provider).__module__].release()


def check(error, during, limit_s=LIMIT_S):
    assert type(error) is NodeTimeoutError
    assert (error.node_id, error.during, error.limit_s) == ("n0", during, limit_s)


@pytest.mark.parametrize("during", ["process", "flush"])
@pytest.mark.parametrize("kind", PLAIN + ASYNC)
async def test_a_call_that_does_not_come_back(kind, during):
    error = await failure_of(kind, {"method": during}, process_timeout_secs=LIMIT_S)
    check(error, during)
    assert ("wait_in_async" if kind in ASYNC else "wait_in_plain") in error.stacks
    assert error.stacks not in str(error)


@pytest.mark.parametrize("kind", PLAIN + ASYNC)
async def test_an_initialisation_that_does_not_come_to_its_end(kind):
    error = await failure_of(kind, {"method": "setup"}, init_timeout_secs=LIMIT_S)
    check(error, "setup")
    assert ("wait_in_async" if kind in ASYNC else "wait_in_plain") in error.stacks


@pytest.mark.parametrize("kind", ["hanging", "hanging_async"])
async def test_another_interpreter(kind, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    error = await failure_of(
        kind, {"method": "process"}, process_timeout_secs=LIMIT_S, python_executable=str(python)
    )
    check(error, "process")
    assert "wait_in" in error.stacks


@pytest.mark.parametrize("kind", ["hanging_at_once", "hanging_at_once_native"])
async def test_one_of_several_inputs_at_once(kind):
    error = await failure_of(kind, inputs=20, process_timeout_secs=LIMIT_S)
    check(error, "process")
    assert "wait_in_async" in error.stacks


@pytest.mark.parametrize("kind", ["unhurried", "unhurried_native"])
async def test_many_outputs_are_not_one_long_call(kind):
    manifest = chain((kind, {"outputs": 5}), process_timeout_secs=LIMIT_S)
    outputs = await run(manifest, [Text("x"), Text("y")], with_hanging())
    assert len(outputs) == 10


@pytest.mark.parametrize("kind", ["slow_source", "slow_source_native"])
async def test_a_producer_may_wait_as_long_as_it_likes(kind):
    manifest = chain((kind, {"seconds": 0.5, "outputs": 2}), process_timeout_secs=0.1)
    async with Session(manifest, with_hanging()) as session:
        await session.end(keep_producing=True)
        assert [output.value.text async for output in session.outputs()] == ["0", "1"]


@pytest.mark.parametrize("kind", ["EchoNode", "PassThrough", "shout", "shout_native"])
async def test_waiting_for_room_is_no_call(kind):
    """The outputs are not read for longer than a call may take."""
    manifest = chain(kind, channel_capacity=1, process_timeout_secs=LIMIT_S, stall_timeout_secs=9)
    async with Session(manifest, with_hanging()) as session:
        feeding = asyncio.create_task(feed(session, 5))
        outputs = session.outputs()
        first = await anext(outputs)
        await asyncio.sleep(3 * LIMIT_S)  # that nothing is read is what is tested
        rest = [output async for output in outputs]
        await feeding
    assert first.sequence == 1
    assert {output.sequence for output in rest} >= {2, 3, 4, 5}


async def feed(session, count):
    for _ in range(count):
        await session.send("n0", Text("x"))
    await session.end()


@pytest.mark.parametrize("kind", ["unhurried", "unhurried_native"])
async def test_there_is_no_limit_by_default(kind):
    assert await failure_of(kind, {"seconds": 0.5}) is None


@pytest.mark.parametrize("method", ["process", "nothing"])
async def test_a_stopped_process(method):
    """Whether it was at work or not: what comes to it stays there."""
    manifest = chain(("hanging", {"method": method}), process_timeout_secs=LIMIT_S)
    async with Session(manifest, with_hanging()) as session:
        pid = (await session.metrics()).nodes["n0"].pid
        assert pid  # else this would stop all that the tests run in
        os.kill(pid, signal.SIGSTOP)
        await session.send("n0", Text("x"))
        with pytest.raises(NodeTimeoutError) as failed:
            async for _ in session.outputs():
                pass
    check(failed.value, "process")


async def test_a_process_that_answers_nothing_is_killed_all_the_same():
    error = await failure_of("obstinate", {"method": "process"}, process_timeout_secs=LIMIT_S)
    check(error, "process")
    assert error.stacks == ""


@pytest.mark.parametrize("kind", ["hanging", "hanging_native"])
async def test_a_node_that_does_not_let_go_is_recorded_with_the_time_it_had(kind):
    session = Session(chain((kind, {"method": "teardown"})), with_hanging())
    await session.start()
    await session.cancel("enough")
    release(session)
    assert any("teardown did not end within 0.5 s" in fault for fault in session.context.faults)


@pytest.mark.parametrize("method", ["setup", "process", "flush", "teardown"])
async def test_nobody_holds_up_the_end_of_a_session(method):
    """By a node that hears no signal, wherever it hangs."""
    told = asyncio.Queue()
    kind = ("obstinate", {"method": method})
    session = Session(chain(kind), with_hanging(on_progress=told.put_nowait))
    starting = asyncio.create_task(session.start())
    while (await told.get()).stage != ("loading_model" if method == "setup" else "ready"):
        pass
    if method != "setup":
        await starting
        await session.send("n0", Text("x"))
        await session.end()
    await asyncio.wait_for(session.cancel("enough"), 5)
    await asyncio.wait([starting])
    assert (starting.exception() is not None) == (method == "setup")


def test_the_ladder_takes_five_seconds_at_most():
    native_s = 2 * END_S  # its tasks, then its teardown
    assert max(END_S + supervisor.LADDER_S, native_s) <= 5
    steps_s = STACKS_S + supervisor.TERM_S + 2 * supervisor.KILL_S
    assert steps_s < supervisor.LADDER_S
