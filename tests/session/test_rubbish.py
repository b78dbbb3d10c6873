"""What no node should say ends its session alone, and is told as what it is."""

import os

import pytest
from failing import failure_of
from pipelines import chain, options

from penstock.data import Text
from penstock.errors import (
    InputError,
    LaneError,
    NodeError,
)
from penstock.session import Session


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


@pytest.mark.parametrize(
    "wrong", [{"timestamp_us": 1 << 64}, {"timestamp_us": 1.5}, {"sequence": 1.5}]
)
async def test_numbers_that_no_message_can_carry(wrong):
    async with Session(chain("EchoNode"), options()) as session:
        with pytest.raises(InputError, match="must be"):
            await session.send("n0", Text("x"), **wrong)
