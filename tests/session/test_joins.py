"""Joins in sessions: diamonds that run, diamonds that can't, and what a manifest must say."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from pipelines import chain, run

from penstock.data import Audio, Text
from penstock.errors import ManifestError, StallError
from penstock.session import Session, SessionOptions

NODES = str(Path(__file__).with_name("joining_nodes.py"))
DIAMOND = [("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3")]


def options():
    return SessionOptions(nodes=(NODES,))


def words(count):
    return [Text(f"w{number}") for number in range(1, count + 1)]


async def feed(session, count):
    for word in words(count):
        await session.send("n0", word)


@pytest.mark.parametrize("kind", ["mix", "mix_native", "mix_quick", "mix_async"])
@pytest.mark.parametrize("arm", ["EchoNode", "PassThrough"])
async def test_a_diamond_joins_what_it_split(kind, arm):
    manifest = chain("PassThrough", arm, "PassThrough", kind, connections=DIAMOND)
    outputs = await run(manifest, words(150), options())
    assert [o.value.text for o in outputs] == [f"n1=w{n} n2=w{n} #{n}" for n in range(1, 151)]
    assert [o.sequence for o in outputs] == list(range(1, 151))


async def test_what_one_arm_leaves_out_is_unmatched_and_counted():
    manifest = chain("PassThrough", "every_third", "PassThrough", "mix", connections=DIAMOND)
    async with Session(manifest, options()) as session:
        await feed(session, 30)
        await session.end()
        assert [o.sequence async for o in session.outputs()] == list(range(3, 31, 3))
        metrics = await session.metrics()
    assert metrics.nodes["n3"].items_processed == 10
    assert metrics.nodes["n3"].unmatched == 20


async def test_each_argument_takes_its_kind_from_its_node():
    manifest = chain(
        "spell",
        "spell",
        ("subtitle", {"inputs": {"words": "n1", "sound": "n0"}}),
        connections=[("n0", "n2"), ("n1", "n2")],
    )
    async with Session(manifest, options()) as session:
        await session.send("n0", Audio(np.zeros(7, np.int16), 16_000), sequence=1)
        await session.send("n0", Text("filtered"), sequence=1)
        await session.send("n1", Text("seven"), sequence=1)
        await session.end()
        assert [o.value.value async for o in session.outputs()] == [[7, "seven"]]


async def test_inputs_are_joined_by_their_capture_times():
    manifest = chain(
        "PassThrough",
        "PassThrough",
        ("mix", {"toleranceUs": 10}),
        connections=[("n0", "n2"), ("n1", "n2")],
    )
    async with Session(manifest, options()) as session:
        for at_us in (100, 200, 300):
            await session.send("n0", Text(f"a{at_us}"), timestamp_us=at_us)
        for at_us in (92, 150, 305):
            await session.send("n1", Text(f"b{at_us}"), timestamp_us=at_us)
        await session.end()
        said = [o.value.text.rpartition(" ")[0] async for o in session.outputs()]
    assert said == ["n0=a100 n1=b92", "n0=a300 n1=b305"]


@pytest.mark.parametrize("kind", ["mix", "mix_quick"])
@pytest.mark.parametrize("arm", ["withhold", "withhold_native"])
async def test_an_arm_may_withhold_no_more_than_the_capacity(kind, arm):
    limits = {"channel_capacity": 10, "stall_timeout_secs": 0.3}
    kind = (kind, {"tolerance_us": 0})  # no capture times: in the order of their arrival
    arms = ("PassThrough", "PassThrough", (arm, {"count": 10}), kind)
    outputs = await run(chain(*arms, connections=DIAMOND, **limits), words(40), options())
    assert len(outputs) == 40
    arms = ("PassThrough", "PassThrough", (arm, {"count": 60}), kind)
    async with Session(chain(*arms, connections=DIAMOND, **limits), options()) as session:
        with pytest.raises(StallError) as stalled:
            await feed(session, 200)
    ring = stalled.value.ring
    assert set(ring) == {"n0", "n1", "n2", "n3"}
    assert ring[(ring.index("n3") + 1) % 4] == "n2"


async def test_a_stall_is_found_while_the_client_only_reads():
    limits = {"channel_capacity": 10, "stall_timeout_secs": 0.3}
    arms = ("PassThrough", "PassThrough", ("withhold", {"count": 60}), "mix")
    async with Session(chain(*arms, connections=DIAMOND, **limits), options()) as session:
        await feed(session, 28)
        await session.end()
        with pytest.raises(StallError, match="n3 → n2"):
            _ = [output async for output in session.outputs()]


@pytest.mark.parametrize("slow", ["slow", "slow_native"])
@pytest.mark.parametrize("arm", ["EchoNode", "PassThrough"])
async def test_an_arm_that_computes_is_no_stall(slow, arm):
    manifest = chain("PassThrough", arm, slow, "mix", connections=DIAMOND,
                     channel_capacity=2, stall_timeout_secs=0.1)  # fmt: skip
    assert len(await run(manifest, words(30), options())) == 30


async def test_one_source_after_the_other_is_a_stall_that_names_the_client():
    manifest = chain("PassThrough", "PassThrough", "mix", connections=[("n0", "n2"), ("n1", "n2")],
                     channel_capacity=5, stall_timeout_secs=0.3)  # fmt: skip
    async with Session(manifest, options()) as session:
        with pytest.raises(StallError) as stalled:
            await feed(session, 100)
    assert stalled.value.ring == ("client", "n0", "n2", "n1")


async def test_a_join_that_waits_for_a_quiet_client_is_no_stall():
    manifest = chain("PassThrough", "PassThrough", "mix", connections=[("n0", "n2"), ("n1", "n2")],
                     stall_timeout_secs=0.1)  # fmt: skip
    async with Session(manifest, options()) as session:
        await session.send("n0", Text("a"), sequence=1)
        outputs = session.outputs()
        first = asyncio.ensure_future(anext(outputs))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(first), 0.5)
        await session.send("n1", Text("b"), sequence=1)
        assert (await first).value.text == "n0=a n1=b #1"
        await session.end()


def faults_of(*nodes, connections):
    with pytest.raises(ManifestError) as error:
        Session(chain(*nodes, connections=connections), options())
    return [(fault.path, str(fault)) for fault in error.value.faults]


@pytest.mark.parametrize(
    ("inputs", "path", "says"),
    [
        ({}, "connections[0]", "'n0' feeds no argument of 'n2' (subtitle)"),
        ({"sound": "n0"}, "connections[1]", "'n1' feeds no argument"),
        ({"sound": "n0"}, "nodes[2].params.inputs", "nothing feeds the argument 'words'"),
        ({"sound": "n0", "words": "n9"}, "nodes[2].params.inputs.words", "leads from 'n9'"),
        ({"sound": "n0", "words": "n0"}, "nodes[2].params.inputs", "one argument only"),
        ({"sounds": "n0"}, "nodes[2].params.inputs.sounds", "did you mean 'sound'"),
    ],
)
def test_every_argument_must_be_fed_by_one_connection(inputs, path, says):
    found = faults_of("spell", "spell", ("subtitle", {"inputs": inputs}),
                      connections=[("n0", "n2"), ("n1", "n2")])  # fmt: skip
    assert any(at == path and says in message for at, message in found), found


def test_kinds_are_checked_for_each_argument():
    ((path, message),) = faults_of(
        "every_third", "spell", ("subtitle", {"inputs": {"sound": "n0", "words": "n1"}}),
        connections=[("n0", "n2"), ("n1", "n2")],
    )  # fmt: skip
    assert path == "connections[0]"
    assert "emits text, 'n2' (subtitle) accepts audio" in message


def test_no_input_can_have_the_name_of_the_node_itself():
    manifest = chain("PassThrough", "mix", connections=[("n0", "n1")])
    manifest["nodes"][0]["id"] = manifest["connections"][0]["from"] = "self"
    with pytest.raises(ManifestError, match=r"connections\[0\]: 'self' feeds no argument of 'n1'"):
        Session(manifest, options())
    manifest["nodes"][1]["params"] = {"inputs": {"voice": "self"}}
    Session(manifest, options())


def test_a_join_has_connections():
    ((path, message),) = faults_of("mix", connections=[])
    assert path == "nodes[0]"
    assert "is a join, and nothing feeds it" in message
