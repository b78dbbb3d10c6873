"""The copy counters of every lane: what leaves a process unchanged is copied nowhere."""

import numpy as np
import pytest
from pipelines import chain, diamond, options, through

from penstock.data import CLIENT, Audio, Binary, Tensor, Text
from penstock.session import Session

COUNT = 12


def audio(number):
    return Audio(np.full(30_000, number, np.int16), 16_000)


async def copies(manifest, inputs):
    """By connection, once everything has gone through; and what came out."""
    async with Session(manifest, options()) as session:
        outputs = await through(session, inputs)
        values = [output.value for output in outputs]
    metrics = await session.metrics()
    return {(lane.source, lane.target): lane.copies for lane in metrics.lanes}, values


@pytest.mark.parametrize("kind", ["tone", "EchoNode", "retag", "halves"])
async def test_a_process_gives_on_what_it_allocated_got_or_cut_without_a_copy(kind):
    manifest = chain("EchoNode", kind, "EchoNode", "EchoNode")
    counted, values = await copies(manifest, [audio(number) for number in range(COUNT)])
    assert counted.pop((CLIENT, "n0")) == COUNT
    assert set(counted.values()) == {0}
    factor = 2 if kind == "tone" else 1
    firsts = [value.samples[0, 0] for value in values]
    assert firsts == [n * factor for n in range(COUNT) for _ in range(2 if kind == "halves" else 1)]


async def test_fan_out_to_processes_and_back_copies_nothing():
    manifest = chain(
        "tone", "EchoNode", "halves", "PassThrough", "EchoNode",
        connections=[("n0", f"n{arm}") for arm in range(1, 5)],
    )  # fmt: skip
    counted, values = await copies(manifest, [audio(number) for number in range(COUNT)])
    assert counted.pop((CLIENT, "n0")) == COUNT
    assert set(counted.values()) == {0}
    assert len(values) == 5 * COUNT


async def test_a_native_node_passes_on_what_came_from_a_process_without_a_copy():
    manifest = chain("tone", "PassThrough", "EchoNode", "PassThrough", "EchoNode")
    counted, values = await copies(manifest, [audio(number) for number in range(COUNT)])
    assert counted.pop((CLIENT, "n0")) == COUNT
    assert set(counted.values()) == {0}
    assert [value.samples[0, 0] for value in values] == [2 * n for n in range(COUNT)]


async def test_native_to_process_is_one_copy_a_message_and_back_is_none():
    manifest = chain("PassThrough", "EchoNode", "PassThrough")
    counted, _ = await copies(manifest, [audio(number) for number in range(COUNT)])
    assert counted == {(CLIENT, "n0"): 0, ("n0", "n1"): COUNT, ("n1", "n2"): 0, ("n2", CLIENT): 0}


async def test_what_a_process_makes_on_its_heap_is_copied_once():
    counted, _ = await copies(chain("louder", "EchoNode"), [audio(n) for n in range(COUNT)])
    assert counted == {(CLIENT, "n0"): COUNT, ("n0", "n1"): COUNT, ("n1", CLIENT): 0}


async def test_what_does_not_lie_in_one_piece_is_copied_once_and_only_there():
    inputs = [Tensor(np.arange(40_000.0).reshape(100, 400)) for _ in range(COUNT)]
    counted, values = await copies(chain("EchoNode", "every_other", "EchoNode"), inputs)
    assert counted == {(CLIENT, "n0"): COUNT, ("n0", "n1"): 0, ("n1", "n2"): COUNT,
                       ("n2", CLIENT): 0}  # fmt: skip
    assert all(value == Tensor(inputs[0].array[:, ::2]) for value in values)


@pytest.mark.parametrize("value", [Text("x" * 900), Binary(np.zeros(1024, np.uint8))])
async def test_small_payloads_ride_along_and_count_as_no_copy(value):
    counted, values = await copies(chain("PassThrough", "EchoNode", "EchoNode"), [value] * COUNT)
    assert set(counted.values()) == {0}
    assert values == [value] * COUNT


async def test_what_waits_behind_a_node_that_only_passes_it_on_is_copied_nowhere():
    """Half the pool of the one who made it lies at a client that doesn't read."""
    count, payload = 6, Binary(np.zeros(1 << 20, np.uint8))
    async with Session(chain("EchoNode", "EchoNode"), options()) as session:
        for _ in range(count):
            await session.send("n0", payload)
        while (await session.metrics()).nodes["n1"].items_processed < count:
            continue
        await session.end()
        assert [output.value async for output in session.outputs()] == [payload] * count
    counted = {(ln.source, ln.target): ln.copies for ln in (await session.metrics()).lanes}
    assert counted.pop((CLIENT, "n0")) == count
    assert set(counted.values()) == {0}


async def test_what_two_arms_only_lend_on_is_copied_nowhere():
    """More than a quarter of its maker's pool waits behind the join, by each of the arms."""
    count, size = 12, 1 << 19
    async with Session(
        diamond("tone", "EchoNode", "EchoNode", "each_of_both"), options()
    ) as session:
        for number in range(count):
            await session.send("n0", Audio(np.full(size, number, np.int16), 16_000))
        while (await session.metrics()).nodes["n3"].items_processed < count:
            continue
        lanes = {(ln.source, ln.target): ln for ln in (await session.metrics()).lanes}
        assert {lanes["n0", arm].held for arm in ("n1", "n2")} == {count}
        await session.end()
        heard = [output.value.samples[-1, 0] async for output in session.outputs()]
    assert heard == [2 * number for number in range(count) for _ in range(2)]
    lanes = {(ln.source, ln.target): ln for ln in (await session.metrics()).lanes}
    copied = {ends: lane.copies for ends, lane in lanes.items() if CLIENT not in ends}
    assert copied == dict.fromkeys([("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3")], 0)
