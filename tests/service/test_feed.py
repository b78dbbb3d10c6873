"""A stream's inputs on their way into a session, with files that take a while to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from wire_client import chunk

from penstock.data import Text
from penstock.service.feed import Feed
from penstock.service.files import Files, Placed
from penstock.service.limits import CallLimits
from penstock.session import Session
from penstock.wire.metrics import CodecTime
from penstock.wire.v1 import common_pb2 as pb

LARGEST = 1 << 20
ONE = {"version": "v1", "nodes": [{"id": "n0", "node_type": "PassThrough"}]}


class SlowFiles(Files):
    """Reads nothing before it is ``free`` to."""

    def __init__(self) -> None:
        super().__init__(("/",), LARGEST)
        self.free = asyncio.Event()

    async def load(self, buffers: Iterable[Placed]) -> None:
        await self.free.wait()
        await super().load(buffers)


async def test_a_chunk_whose_files_are_read_is_given_up_too() -> None:
    files = SlowFiles()
    feed = Feed(CallLimits(pb.ResourceLimits()), files, CodecTime(), LARGEST)
    putting = asyncio.create_task(feed.put(chunk("old").data_chunk, None))
    await asyncio.sleep(0)
    feed.give_up()
    files.free.set()
    await putting
    await feed.put(chunk("new").data_chunk, None)
    feed.end()
    async with Session(ONE) as session:
        running = asyncio.create_task(feed.run(session))
        assert [output.value async for output in session.outputs()] == [Text("new")]
        await running
