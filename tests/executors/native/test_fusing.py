"""Native nodes that call one another: what stays the same, and what un-fuses them."""

import asyncio
import itertools
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from node_rig import Rig, offer, settled, taken, texts

from penstock.bridges import LaneState
from penstock.bridges.direct import DirectProducer
from penstock.data import Json, Kind, Text
from penstock.executors.calling import NodeFault
from penstock.nodes import Node

TEXT = frozenset({Kind.TEXT})


def nested_calls() -> int:
    """How many nodes' work is on the stack: the first one's, and that behind each lane."""
    count, frame = 1, sys._getframe()
    while frame is not None:
        count += frame.f_code is DirectProducer.offer.__code__
        frame = frame.f_back
    return count


class Add(Node):
    """Marks what passes, and remembers how deep in the stack it was called."""

    def setup(self):
        self.depths = []

    def process(self, item: Text) -> Text:
        self.depths.append(nested_calls())
        if item.text.rstrip(".") == f"bad {self.ctx.node_id}":
            raise ValueError(f"raised by {self.ctx.node_id}")
        return Text(item.text + ".")


class Split(Node):
    """Several for one."""

    def process(self, item: Text):
        yield item
        yield item


def chain(*kinds, fused=True, capacities=None, accepts=TEXT):
    """``in → a → b → … → out``."""
    rig = Rig()
    names = "abcdefgh"[: len(kinds)]
    for name, kind in zip(names, kinds, strict=True):
        rig.add(name, kind).setup()
    ends = ["in", *names, "out"]
    for number, (source, target) in enumerate(itertools.pairwise(ends)):
        between = source in names and target in names
        capacity = capacities[number] if capacities else 100
        rig.connect(source, target, fused=fused and between, capacity=capacity, accepts=accepts)
    return rig


async def finish(rig, tasks):
    """Read to the end; the texts that came out."""
    outlet, outputs = rig.lanes[next(key for key in rig.lanes if key[1] == "out")], []
    while not all(task.done() for task in tasks.values()):
        await settled()
        outputs += [m.value.text for m in taken(outlet)]
    for task in tasks.values():
        await task
    return outputs


async def test_a_chain_passes_as_nested_calls_and_is_counted_as_lanes():
    rig = chain(Add, Add, Add)
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts("x", "y"))
    assert await finish(rig, tasks) == ["x...", "y..."]
    assert [max(rig.loops[name].node.depths) for name in "abc"] == [1, 2, 3]
    for pair in (("a", "b"), ("b", "c")):
        lane = rig.lanes[pair]
        sent, received = lane.producer.statistics(), lane.consumer.statistics()
        assert (sent.sent, received.received, sent.waiting) == (2, 2, 0)
        assert sent.payload_bytes > 0
        assert sent.state is LaneState.IDLE
        assert received.ended
    assert [loop.stats.items for loop in rig.loops.values()] == [2, 2, 2]


async def test_time_in_a_fused_consumer_is_not_its_producers():
    class Slow(Add):
        def process(self, item: Text) -> Text:
            for _ in range(200_000):
                pass
            return item

    rig = chain(Add, Slow)
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts("x"))
    await finish(rig, tasks)
    assert rig.loops["a"].stats.execution_ns < rig.loops["b"].stats.execution_ns


async def test_kinds_that_are_not_accepted_are_filtered():
    class Both(Add):
        def process(self, item: Text):
            return Json(1)

    rig = chain(Both, Add)
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts("x"))
    assert await finish(rig, tasks) == []
    assert rig.lanes["a", "b"].producer.statistics().filtered == {"json": 1}
    assert rig.loops["b"].stats.items == 0


async def test_an_exception_belongs_to_the_node_that_raised_it():
    rig = chain(Add, Add, Add)
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts("fine", "bad b"), end=False)
    await settled()
    with pytest.raises(NodeFault) as fault:
        await tasks["b"]
    assert str(fault.value.__cause__) == "raised by b"
    assert not tasks["a"].done()
    assert not tasks["c"].done()
    assert rig.loops["c"].stats.items == 1
    await cancel(tasks["a"], tasks["c"])


async def test_a_consumer_that_exits_does_not_take_its_producer_along():
    class Exits(Add):
        def process(self, item: Text) -> Text:
            raise SystemExit(3)

    rig = chain(Add, Exits)
    tasks = {"a": asyncio.create_task(rig.loops["a"].run())}
    caught = asyncio.create_task(exit_of(rig.loops["b"]))
    await settled()
    offer(rig.lanes["in", "a"], texts("x"), end=False)
    assert await caught == 3
    assert not tasks["a"].done()
    await cancel(tasks["a"])


async def exit_of(loop):
    try:
        await loop.run()
    except SystemExit as exc:
        return exc.code


async def cancel(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_consumer_that_must_wait_has_messages_queue_in_order():
    rig = chain(Add, Add, capacities=[100, 2, 1])
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts(*"12345678"), end=False)
    await settled()
    lane = rig.lanes["a", "b"]
    # one is with the reader, one waits in b, two in the lane, one in a
    assert len(lane.queue) == 2
    assert lane.machine.state is LaneState.BLOCKED
    assert rig.loops["a"].stats.items == 5
    rig.lanes["in", "a"].producer.end()
    assert await finish(rig, tasks) == [f"{n}.." for n in "12345678"]
    assert lane.producer.statistics().blocked_ns > 0
    assert lane.consumer.statistics().received == 8


async def test_space_that_comes_before_the_consumer_waits_for_it_is_not_missed():
    rig = chain(Add, capacities=[100, 1])
    loop, outlet = rig.loops["a"], rig.lanes["a", "out"]
    tasks = rig.start()
    await settled()
    first, second = texts("1", "2")
    assert loop.accept(first)
    assert loop.accept(second)  # its output has no space
    assert [m.value.text for m in taken(outlet)] == ["1."]
    await settled()
    assert [m.value.text for m in taken(outlet)] == ["2."]
    assert loop.accept(first)
    await cancel(tasks["a"])


async def test_it_is_called_again_when_it_has_caught_up():
    rig = chain(Add, Add, capacities=[100, 100, 1])
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts("1", "2", "3"), end=False)
    await settled()
    assert rig.loops["b"].node.depths == [2, 2]
    while rig.loops["b"].stats.items < 3:
        taken(rig.lanes["b", "out"])
        await settled()
    taken(rig.lanes["b", "out"])
    await settled()
    offer(rig.lanes["in", "a"], texts("4"))
    await finish(rig, tasks)
    assert rig.loops["b"].node.depths == [2, 2, 1, 2]


async def test_something_that_comes_between_un_fuses():
    rig = chain(Add, Add)
    lane = rig.lanes["a", "b"]
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts("1"), end=False)
    await settled()
    assert lane.fused
    lane.unfuse()
    assert not lane.fused
    offer(rig.lanes["in", "a"], texts("2"), end=False)
    await settled()
    lane.fuse(rig.loops["b"].accept)
    offer(rig.lanes["in", "a"], texts("3"))
    assert await finish(rig, tasks) == ["1..", "2..", "3.."]
    assert rig.loops["b"].node.depths == [2, 1, 2]


async def test_a_lane_that_is_full_when_it_is_fused_keeps_the_order():
    rig = chain(Add, Add, fused=False)
    tasks = {"a": asyncio.create_task(rig.loops["a"].run())}
    offer(rig.lanes["in", "a"], texts("1", "2"), end=False)
    await settled()
    tasks["b"] = asyncio.create_task(rig.loops["b"].run())
    rig.lanes["a", "b"].fuse(rig.loops["b"].accept)
    offer(rig.lanes["in", "a"], texts("3"))
    assert await finish(rig, tasks) == ["1..", "2..", "3.."]


async def test_what_waits_in_the_lane_comes_before_what_is_called():
    rig = chain(Add, Add)
    lane = rig.lanes["a", "b"]
    tasks = rig.start()
    await settled()
    first, second = texts("1", "2")
    lane.unfuse()
    assert lane.producer.offer(first)
    lane.fuse(rig.loops["b"].accept)
    assert lane.producer.offer(second)  # b is idle, and has not been woken yet
    rig.lanes["in", "a"].producer.end()
    assert await finish(rig, tasks) == ["1.", "2."]


async def test_a_node_that_has_not_begun_or_has_ended_accepts_nothing():
    rig = chain(Add)
    (message,) = texts("x")
    loop = rig.loops["a"]
    assert not loop.accept(message)
    tasks = rig.start()
    await settled()
    assert loop.accept(message)
    await cancel(tasks["a"])
    assert not loop.accept(message)


async def test_others_have_their_turn_while_a_chain_is_busy():
    rig = chain(Add, Add, capacities=[10_000, 10_000, 10_000])
    tasks = rig.start()
    await settled()
    offer(rig.lanes["in", "a"], texts(*["x"] * 9000))
    turns = 0
    while rig.loops["b"].stats.items < 9000:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 3
    await finish(rig, tasks)


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from([Add, Split]), min_size=1, max_size=4),
    capacities=st.lists(st.integers(1, 4), min_size=6, max_size=6),
    count=st.integers(0, 12),
)
def test_fused_or_not_the_same_comes_out_in_the_same_order(kinds, capacities, count):
    async def outputs(*, fused):
        rig = chain(*kinds, fused=fused, capacities=[100, *capacities])
        tasks = rig.start()
        await settled()
        offer(rig.lanes["in", "a"], texts(*(str(number) for number in range(count))))
        found = await finish(rig, tasks)
        for lane in rig.lanes.values():
            sent, received = lane.producer.statistics(), lane.consumer.statistics()
            assert sent.sent == received.received
            assert not sent.dropped
        return found

    assert asyncio.run(outputs(fused=True)) == asyncio.run(outputs(fused=False))
