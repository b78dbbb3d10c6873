"""A view stays what it was for as long as anything holds it, and nobody can write to it.

The tests run with freed slots overwritten (see ``tests/conftest.py``).
"""

from pathlib import Path

import numpy as np
import pytest
from keepers import ATTEMPTS, WAYS, seen
from pipelines import chain, options, through

from penstock.data import CLIENT, Audio, Binary
from penstock.errors import NodeExecutionError
from penstock.session import Session

HERE = Path(__file__).with_name("keepers.py")
SIZES = (5_000, 1_500, 70_001, 4_096, 900, 200_000)


def full(number):
    size = SIZES[number % len(SIZES)]
    return Binary(np.full(size, number % 251, np.uint8), metadata={"number": str(number % 251)})


def options_here():
    return options(more_nodes=(HERE,))


@pytest.mark.parametrize(
    ("nodes", "overrides"),
    [
        (("EchoNode", "keeper", "EchoNode"), {}),
        (("keeper", "keeper", "keeper"), {}),
        (("PassThrough", "keeper", "EchoNode"), {"n1": "native"}),
        (("EchoNode", "keeper", "keeper"), {"n1": "native"}),
    ],
)
async def test_whatever_a_node_does_with_a_view_it_stays_what_it_was(nodes, overrides):
    manifest = chain(*nodes, channel_capacity=8, executor_overrides=overrides)
    async with Session(manifest, options_here()) as session:
        outputs = await through(session, (full(number) for number in range(300)))
        assert len(outputs) >= 300
        for output in outputs:
            assert (output.value.data == int(output.value.metadata["number"])).all()


async def test_a_hoarder_gets_copies_and_everybody_goes_on():
    """A hundred mebibytes are kept, of pools that have sixty-four each."""
    manifest = chain("EchoNode", "hoard_leases", "EchoNode", channel_capacity=4)
    async with Session(manifest, options()) as session:
        values = (Binary(np.full(1 << 20, number, np.uint8)) for number in range(100))
        for number, output in enumerate(await through(session, values)):
            assert (output.value.data == number).all()
    lanes = {(lane.source, lane.target): lane for lane in (await session.metrics()).lanes}
    assert lanes["n0", "n1"].received == 100
    assert lanes["n0", "n1"].copies >= 36
    assert lanes[CLIENT, "n0"].copies >= 100


async def test_who_passes_on_more_than_it_could_keep_copies_nothing_and_is_not_named():
    manifest = chain("EchoNode", "EchoNode", "EchoNode")
    async with Session(manifest, options()) as session:
        outputs = session.outputs()
        for number in range(600):
            await session.send("n0", Binary(np.full(5_000, number % 251, np.uint8)))
            assert ((await anext(outputs)).value.data == number % 251).all()
        lanes = {(lane.source, lane.target): lane for lane in (await session.metrics()).lanes}
        assert session.context.warnings == []
    assert [lanes[pair].copies for pair in (("n0", "n1"), ("n1", "n2"), ("n2", CLIENT))] == [0] * 3


async def test_who_keeps_its_inputs_is_named_and_who_only_passes_them_on_is_not():
    manifest = chain("EchoNode", "hoard_leases", channel_capacity=4)
    async with Session(manifest, options()) as session:
        outputs = session.outputs()
        for number in range(60):
            await session.send("n0", Binary(np.full(1 << 20, number, np.uint8)))
            assert ((await anext(outputs)).value.data == number).all()
        lanes = {(lane.source, lane.target): lane for lane in (await session.metrics()).lanes}
        (warning,) = session.context.warnings
    assert warning.startswith("node 'n1' never lets go of its inputs from 'n0'")
    assert lanes["n0", "n1"].held >= 8  # a quarter of the pool


async def test_a_client_that_keeps_all_outputs_holds_nobody_up():
    async with Session(chain("EchoNode", "tone", channel_capacity=4), options()) as session:
        tones = (Audio(np.full(1 << 19, number, np.int16), 8_000) for number in range(100))
        outputs = await through(session, tones)
    for number, output in enumerate(outputs):
        assert (output.value.samples == 2 * number).all()


async def test_inputs_in_cycles_are_collected_when_they_hold_too_much():
    """Now and then: a collection takes longer than a message."""
    async with Session(chain("EchoNode", "tangler"), options_here()) as session:
        values = (Binary(np.zeros(100_000, np.uint8)) for _ in range(700))
        [output] = await through(session, values)
    assert int(output.value.text) < 350


@pytest.mark.parametrize("before", ["EchoNode", "PassThrough"])
async def test_no_way_of_writing_to_a_view_is_taken(before):
    assert len(ATTEMPTS) > 10
    async with Session(chain(before, "vandal"), options_here()) as session:
        outputs = await through(session, [Binary(np.arange(1, 251, dtype=np.uint8).repeat(40))])
    assert [output.value.text for output in outputs] == []


@pytest.mark.parametrize(
    ("before", "overrides"),
    [("EchoNode", {}), ("PassThrough", {"n1": "native"}), ("EchoNode", {"n1": "native"})],
)
async def test_a_node_that_writes_to_its_input_ends_its_session_with_its_name(before, overrides):
    manifest = chain(before, "writes", executor_overrides=overrides)
    async with Session(manifest, options_here()) as session:
        await session.send("n0", Binary(np.zeros(5_000, np.uint8)))
        with pytest.raises(NodeExecutionError, match="read-only") as failed:
            await anext(session.outputs())
    assert (failed.value.node_id, failed.value.exception_type) == ("n1", "ValueError")


@pytest.mark.parametrize("name", WAYS)
def test_each_way_of_keeping_keeps(name):
    """Or the hammering above would hammer on nothing."""
    array = np.full(5_000, 7, np.uint8)
    part = seen(WAYS[name](array))
    assert part.size > 0
    assert (part == 7).all()
