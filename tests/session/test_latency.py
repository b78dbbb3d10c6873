"""The time to an output is measured from the input that it comes of, whatever its number."""

from __future__ import annotations

import asyncio
from time import perf_counter, perf_counter_ns

import pytest
from pipelines import chain, options

from penstock.data import Text
from penstock.session import Session
from penstock.session.crossing import Tally

APART_S = 0.2
EVERYWHERE = pytest.mark.parametrize("kind", ["PassThrough", "EchoNode"])


def said(output):
    return output.value.text if isinstance(output.value, Text) else output.value.value


async def latencies(session):
    """Of everything that is still to come, by what it says."""
    await session.end(keep_producing=True)
    return {said(output): output.latency_s async for output in session.outputs()}


@EVERYWHERE
async def test_two_sources_may_number_their_inputs_alike(kind):
    async with Session(chain(kind, kind, connections=[]), options()) as session:
        await session.send("n0", Text("first"), sequence=1)
        sent = perf_counter()
        await asyncio.sleep(APART_S)
        apart_s = perf_counter() - sent
        await session.send("n1", Text("second"), sequence=1)
        found = await latencies(session)
    assert found["first"] > apart_s
    assert found["second"] > 0


@EVERYWHERE
async def test_an_input_is_timed_though_many_came_after_it(kind):
    count = 5000
    async with Session(chain(kind, "collect_native", connections=[]), options()) as session:
        await session.send("n0", Text("first"), sequence=1)
        for number in range(2, count):
            await session.send("n1", Text("x"), sequence=number)
        assert (await latencies(session))["first"] > 0


@EVERYWHERE
async def test_what_is_published_in_between_comes_of_no_input(kind):
    async with Session(chain(kind, kind), options()) as session, session.attach() as attachment:
        await session.send("n0", Text("sent"))
        assert await attachment.publish("n1", Text("published")) == 1
        reading = session.outputs()
        came = [await anext(reading) for _ in range(2)]
        assert {output.sequence for output in came} == {1}
        found = {said(output): output.latency_s for output in came}
        assert found["published"] is None
        assert (await session.metrics()).average_latency_s == found["sent"] > 0
        await reading.aclose()


@pytest.mark.parametrize("producer", ["count", "count_native"])
async def test_what_a_node_produces_comes_of_no_input(producer):
    manifest = chain("PassThrough", (producer, {"times": 2}), "PassThrough", connections=[])
    manifest["connections"] = [{"from": "n1", "to": "n2"}, {"from": "n0", "to": "n2"}]
    async with Session(manifest, options()) as session:
        await session.send("n0", Text("sent"), sequence=1)
        found = await latencies(session)
        assert (await session.metrics()).average_latency_s == found["sent"] > 0
    assert [found[1], found[2]] == [None, None]


@pytest.mark.parametrize("wrong_by_ns", [-(10**9), 10**12, -(2**62), 2**62])
def test_a_time_at_which_nothing_can_have_been_sent_counts_for_nothing(wrong_by_ns):
    tally = Tally()
    assert tally.arrived(perf_counter_ns() + wrong_by_ns) is None
    assert tally.average_latency_s is None
