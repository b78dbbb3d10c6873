"""What comes from another process is worked on where it arrives, and nothing is lost by that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_rig import InterruptedAsItTakes, Rig, offer, settled, taken, texts

from penstock.bridges import EpochPage, no_listener
from penstock.data import Message, Text
from penstock.executors.calling import NodeFault
from penstock.nodes import Node


class Twice(Node):
    """Gives one for one, or two; what it is told of interrupts it says in its next output."""

    told = ""

    def process(self, item: Text):
        if item.text == "raise":
            raise ValueError("no")
        if item.text == "two":
            return [Text("t"), Text("wo")]
        said, self.told = self.told + item.text, ""
        return Text(said)

    def interrupt(self):
        self.told = "told "


def rig_of(**options):
    rig = Rig(**options)
    rig.add("n", Twice)
    rig.connect("up", "n", at_once=True)
    rig.connect("n", "down")
    return rig


def words(rig):
    return [message.value.text for message in taken(rig.lanes["n", "down"])]


async def ended(rig, tasks):
    rig.lanes["up", "n"].producer.end()
    await settled()
    rest = words(rig)
    await settled()
    await tasks["n"]
    return rest


async def test_an_input_is_worked_on_before_any_task_runs():
    rig = rig_of()
    tasks = rig.start()
    await settled()
    offer(rig.lanes["up", "n"], texts("a"), end=False)
    assert words(rig) == ["a"]
    offer(rig.lanes["up", "n"], texts("b"), end=False)
    assert words(rig) == ["b"]
    assert await ended(rig, tasks) == []
    assert rig.loops["n"].stats.items == 2


async def test_the_second_of_two_is_left_to_the_task_and_stays_the_second():
    rig = rig_of()
    lane = rig.lanes["up", "n"]
    tasks = rig.start()
    await settled()
    lane.consumer.on_change = no_listener
    offer(lane, texts("a", "b"), end=False)
    lane.consumer.on_change = rig.loops["n"].arrived
    rig.loops["n"].arrived()
    assert words(rig) == ["a"]
    offer(lane, texts("c"), end=False)
    assert words(rig) == []
    await settled()
    assert words(rig) == ["b", "c"]
    await ended(rig, tasks)


async def test_an_input_of_several_outputs_is_finished_by_the_task():
    rig = rig_of()
    tasks = rig.start()
    await settled()
    offer(rig.lanes["up", "n"], texts("two", "a"), end=False)
    assert words(rig) == []
    await settled()
    assert words(rig) == ["t", "wo", "a"]
    await ended(rig, tasks)


async def test_what_the_node_raises_comes_from_its_loop():
    rig = rig_of()
    tasks = rig.start()
    await settled()
    offer(rig.lanes["up", "n"], texts("raise", "a"), end=False)
    await settled()
    with pytest.raises(NodeFault) as fault:
        await tasks["n"]
    assert str(fault.value.__cause__) == "no"
    assert words(rig) == []


async def test_a_lane_that_fails_as_it_is_looked_at_ends_the_node():
    rig = rig_of()
    tasks = rig.start()
    await settled()

    def broken():
        raise OSError("gone")

    rig.loops["n"].inputs[0] = type("Broken", (), {"take": staticmethod(broken)})()
    rig.loops["n"].arrived()
    await settled()
    with pytest.raises(OSError, match="gone"):
        await tasks["n"]


async def test_an_input_that_is_taken_as_an_interrupt_comes_waits_until_the_node_is_told():
    page = EpochPage({"in": 0, "up": 1, "n": 2}, shared=False)
    rig = rig_of(epochs=page)
    lane = rig.lanes["up", "n"]
    tasks = rig.start()
    await settled()
    lane.consumer.on_change = no_listener
    offer(lane, [Message(Text("old"), 1, origin="up")], end=False)
    new = Message(Text("new"), 2, epoch=1, origin="up")
    rig.loops["n"].inputs[0] = InterruptedAsItTakes(lane, page, new)
    rig.loops["n"].arrived()
    assert words(rig) == []
    await settled()
    assert words(rig) == ["told new"]
    lane.consumer.on_change = rig.loops["n"].arrived
    await ended(rig, tasks)


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=12))
async def test_however_they_come_all_leave_in_their_order(bursts):
    rig = rig_of()
    lane = rig.lanes["up", "n"]
    tasks = rig.start()
    await settled()
    sent, came = [], []
    for count, waits in bursts:
        lane.consumer.on_change = no_listener
        new = [str(len(sent) + number) for number in range(count)]
        offer(lane, texts(*new), end=False)
        sent += new
        lane.consumer.on_change = rig.loops["n"].arrived
        rig.loops["n"].arrived()
        if waits:
            await settled()
        came += words(rig)
    await settled()
    came += words(rig)
    assert came + await ended(rig, tasks) == sent
