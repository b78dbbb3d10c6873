"""Who is named where inputs that came from another process are kept in the session's own."""

import asyncio

import numpy as np
import pytest
from pipelines import chain, diamond, options, through

from penstock.data import Audio
from penstock.session import Session

TOO_MANY = 300


@pytest.mark.parametrize(
    ("behind", "named"),
    [
        (["PassThrough", "PassThrough"], "node 'n1' or node 'n2' or the client never lets go"),
        ([], "the client never lets go"),
        (["PassThrough", "EchoNode"], "the client never lets go of its inputs from 'n2'"),
    ],
)
async def test_whoever_may_hold_what_is_passed_on_within_the_process_is_named(behind, named):
    sounds = (Audio(np.full(4_000, 1, np.int16), 8_000) for _ in range(TOO_MANY))
    async with Session(chain("tone", *behind), options()) as session:
        kept = await through(session, sounds)
    assert len(kept) == TOO_MANY
    (warning,) = session.context.warnings
    assert warning.startswith(named)


async def test_an_arm_that_keeps_what_it_passes_on_does_not_keep_the_pool():
    """While nobody reads, all that it keeps is lent on as well; what it was lent is bounded."""
    count, kept_at_most, size = 48, 9, 1 << 19
    manifest = diamond("tone", "hoard_leases", "EchoNode", "each_of_both")

    async def feed(session):
        for number in range(count):
            await session.send("n0", Audio(np.full(size, number, np.int16), 16_000))
        await session.end()

    async with Session(manifest, options()) as session:
        feeding = asyncio.create_task(feed(session))
        while (metrics := await session.metrics()).nodes["n3"].items_processed < count // 2:
            continue
        lanes = {(lane.source, lane.target): lane for lane in metrics.lanes}
        assert lanes["n0", "n1"].held <= kept_at_most, "of 32 that the pool has room for"
        heard = [output.value.samples[-1, 0] async for output in session.outputs()]
        await feeding
    assert heard == [2 * number for number in range(count) for _ in range(2)]
    lanes = {(lane.source, lane.target): lane for lane in (await session.metrics()).lanes}
    assert lanes["n0", "n1"].copies >= count - kept_at_most
    warnings = session.context.warnings
    assert any(
        one.startswith("node 'n1' never lets go of its inputs from 'n0'") for one in warnings
    )
