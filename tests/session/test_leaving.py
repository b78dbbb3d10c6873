"""What a session tells whoever uses it, who may be slow, wrong, or gone."""

import asyncio

import pytest
from failing import feed, is_running, read_all
from pipelines import chain, options

from penstock.data import Text
from penstock.errors import (
    ConfigurationError,
    NodeExecutionError,
    NodeExitedError,
    ResourceLimitError,
    SessionError,
    StallError,
)
from penstock.manifest import Limits
from penstock.session import Budget, Session, SessionStatus


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


async def test_a_session_whose_event_loop_ends_around_it_is_cleaned_up():
    session = Session(chain("EchoNode"), options())
    await session.start()
    pid = (await session.metrics()).nodes["n0"].pid
    session._root.cancel()
    await asyncio.wait([session._root])
    assert session.context.status is SessionStatus.TERMINATED
    assert not is_running(pid)


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
