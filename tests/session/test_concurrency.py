"""Nodes that work on several inputs at once, and nodes that call one another, in sessions."""

import asyncio
import sys
from pathlib import Path

import pytest
from pipelines import chain, run

from penstock.data import Json, Text
from penstock.errors import NodeExecutionError
from penstock.session import Session, SessionOptions

NODES = str(Path(__file__).with_name("concurrent_nodes.py"))


def options(*more):
    return SessionOptions(nodes=(NODES, *more))


@pytest.mark.parametrize("kind", ["meet", "meet_native"])
async def test_a_node_works_on_several_inputs_at_once_and_keeps_their_order(kind):
    inputs = [Text(f"t{number}") for number in range(40)]
    outputs = await run(chain(kind, "EchoNode"), inputs, options())
    assert [o.value.text for o in outputs] == [f"t{n} {n + 1}" for n in range(40)]
    assert [o.sequence for o in outputs] == list(range(1, 41))


@pytest.mark.parametrize("kind", ["changes_its_mind", "changes_its_mind_at_once"])
@pytest.mark.parametrize("where", ["native", "multiprocess"])
async def test_how_many_at_once_is_for_the_class_to_say(kind, where):
    manifest = chain(kind, executor_overrides={"n0": where})
    outputs = await run(manifest, [Text("t")] * 9, options())
    assert [o.value.text for o in outputs] == [f"t {number}" for number in range(1, 10)]


@pytest.mark.parametrize("kind", ["fail_together", "fail_together_native"])
async def test_one_that_fails_ends_the_node(kind):
    async with Session(chain(kind), options()) as session:
        for word in ("x", "y", "bad"):
            await session.send("n0", Text(word))
        with pytest.raises(NodeExecutionError, match="process raised ValueError: no good"):
            await anext(session.outputs())


@pytest.mark.parametrize("kind", ["fail_together", "fail_together_native"])
async def test_cancelling_a_session_ends_all_that_is_worked_on(kind):
    async with Session(chain(kind), options()) as session:
        for word in "abc":
            await session.send("n0", Text(word))
    assert session.context.faults == []


async def test_quick_native_nodes_call_one_another():
    outputs = await run(chain("nested", "nested", "nested"), [Json([])] * 3, options())
    assert [o.value.value for o in outputs] == [[0, 1, 2]] * 3


async def test_a_node_on_a_thread_is_not_called_but_calls():
    outputs = await run(chain("nested", "nested_apart", "nested"), [Json([])], options())
    assert [o.value.value for o in outputs] == [[0, 0, 1]]


async def test_a_very_long_chain_does_not_fill_the_stack():
    (output,) = await run(chain(*["nested"] * 200), [Json([])], options())
    assert 3 < max(output.value.value) <= 32


@pytest.mark.parametrize("guilty", ["n0", "n1", "n2"])
async def test_the_node_that_raised_is_named(guilty):
    async with Session(chain("picky", "picky", "picky"), options()) as session:
        outputs = session.outputs()
        await session.send("n0", Json(["x"]))
        assert (await anext(outputs)).value.value == ["x"]
        await session.send("n0", Json([guilty]))
        with pytest.raises(NodeExecutionError, match="not this") as failed:
            await anext(outputs)
    assert failed.value.node_id == guilty
    assert failed.value.during == "process"
    assert "concurrent_nodes.py" in failed.value.traceback


@pytest.mark.parametrize(
    ("kind", "during"),
    [
        ("gives_up", "process"),
        ("gives_up_together", "process"),
        ("gives_up_called", "process"),
        ("gives_up_at_the_end", "flush"),
    ],
)
@pytest.mark.parametrize(
    ("how", "raised"),
    [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt"), ("cancel", "CancelledError")],
)
async def test_a_native_node_can_end_its_session_and_nothing_else(kind, during, how, raised):
    async with Session(chain((kind, {"how": how})), options()) as session:
        await session.send("n0", Text("x"))
        await session.end()
        with pytest.raises(NodeExecutionError, match=f"'n0': {during} raised {raised}"):
            _ = [output async for output in session.outputs()]


def test_an_event_loop_that_ends_around_a_session_is_no_fault_of_its_nodes(caplog):
    async def abandon():
        session = Session(chain("meet_native", *["EchoNode"] * 5), options())
        await session.start()
        await session.send("n0", Text("x"))
        return session

    session = asyncio.run(abandon())
    assert session.context.error == "session ended early: its event loop ends"
    assert session.context.faults == []
    assert caplog.messages == []


async def test_async_nodes_run_on_uvloop_where_it_is_there():
    pytest.importorskip("uvloop")
    (output,) = await run(chain("which_loop"), [Text("?")], options())
    assert output.value.text == "uvloop"


async def test_async_nodes_run_without_uvloop(tmp_path):
    module = tmp_path / "no_uvloop.py"
    module.write_text(NO_UVLOOP)
    (output,) = await run(chain("no_uvloop"), [Text("?")], options(module))
    assert output.value.text == "asyncio"
    assert sys.modules.get("uvloop", "not imported") is not None


NO_UVLOOP = """
import asyncio, sys
from penstock.data import Text
from penstock.nodes import Node, node

if "pytest" not in sys.modules:  # in the node's process, where the loop is made after this
    sys.modules["uvloop"] = None

@node("no_uvloop")
class NoUvloop(Node):
    async def process(self, item: Text) -> Text:
        return Text(type(asyncio.get_running_loop()).__module__.partition(".")[0])
"""
