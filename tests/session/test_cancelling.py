"""A node that cancels itself has failed, and says where; it isn't taken for one that was ended."""

import asyncio
from pathlib import Path

import pytest
from pipelines import chain, options, through

from penstock.data import Text
from penstock.errors import NodeExecutionError
from penstock.session import Session

NODES = str(Path(__file__).parent / "cancelling_nodes.py")
KINDS = ["cancels", "cancels_async", "cancels_native", "cancels_async_native"]


@pytest.mark.parametrize("kind", KINDS)
async def test_in_setup(kind):
    session = Session(chain((kind, {"method": "setup"})), options((NODES,)))
    with pytest.raises(NodeExecutionError, match=r"setup raised .*: .*no more") as failed:
        await session.start()
    assert "CancelledError" in failed.value.traceback
    assert session.context.faults == []


@pytest.mark.parametrize("kind", KINDS)
async def test_in_teardown(kind):
    async with Session(chain((kind, {"method": "teardown"})), options((NODES,))) as session:
        assert [output.value for output in await through(session, [Text("x")])] == [Text("x")]
    [fault] = session.context.faults
    assert fault.startswith("node 'n0': teardown raised ")
    assert fault.endswith("no more")


async def test_one_that_is_ended_in_its_setup_has_not_failed():
    told = asyncio.Queue()
    session = Session(chain("slow_setup"), options(on_progress=told.put_nowait))
    starting = asyncio.create_task(session.start())
    while (await told.get()).fraction != 0.5:
        continue
    await session.cancel("never mind")
    await asyncio.wait([starting])
    assert str(starting.exception()) == "session ended early: never mind"
    assert session.context.faults == []
