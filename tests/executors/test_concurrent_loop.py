"""Several inputs at once: how many, in which order, and how it ends."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from node_rig import Rig, offer, settled, taken, texts

from penstock.data import Binary, Message, Text, Value
from penstock.executors.calling import NodeFault
from penstock.nodes import Node


class Gated(Node):
    """Works on an input until the test opens its gate."""

    concurrency = 3

    def setup(self):
        self.gates = {}
        self.begun = []
        self.cancelled = []

    async def process(self, item: Text) -> Text | None:
        self.begun.append(item.text)
        gate = self.gates.setdefault(item.text, asyncio.Event())
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(item.text)
            raise
        if item.text == "bad":
            raise ValueError("no")
        return None if item.text == "nothing" else Text(f"{item.text} {self.ctx.arrival.sequence}")

    async def flush(self) -> Text:
        return Text(f"flushed {len(self.begun)}")

    def open(self, *names):
        for name in names:
            self.gates.setdefault(name, asyncio.Event()).set()


class GatedAsTheyCome(Gated):
    """The same without the order."""

    ordered = False


class Pairs(Gated):
    """Gives two for each input, when the gate is open."""

    async def process(self, item: Text) -> AsyncIterator[Text]:
        self.begun.append(item.text)
        yield Text(f"{item.text} a")
        await self.gates.setdefault(item.text, asyncio.Event()).wait()
        yield Text(f"{item.text} b")


class PairsAsTheyCome(Pairs):
    """The same without the order."""

    ordered = False


async def started(cls, *words, capacity=100):
    rig = Rig()
    node = rig.add("n", cls)
    node.setup()
    inlet, outlet = (
        rig.connect("in", "n", capacity=1000),
        rig.connect("n", "out", capacity=capacity),
    )
    offer(inlet, texts(*words))
    task = rig.start()["n"]
    await settled()
    return node, task, outlet


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def said(outlet):
    return [m.value.text for m in taken(outlet)]


async def test_so_many_inputs_are_worked_on_at_once_and_no_more():
    node, task, outlet = await started(Gated, *"abcde")
    assert node.begun == ["a", "b", "c"]
    node.open("a")
    await settled()
    assert node.begun == ["a", "b", "c", "d"]
    node.open(*"bcde")
    await settled()
    outputs = taken(outlet)
    await task
    assert [m.value.text for m in outputs] == ["a 1", "b 2", "c 3", "d 4", "e 5", "flushed 5"]
    assert [(m.sequence, m.part) for m in outputs] == [
        (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (5, 1),
    ]  # fmt: skip


async def test_the_time_of_each_input_is_counted():
    rig = Rig()
    node = rig.add("n", Pairs)
    node.setup()
    offer(rig.connect("in", "n"), texts(*"ab"))
    node.open(*"ab")
    await rig.start()["n"]
    stats = rig.loops["n"].measured()
    assert sum(stats.processing) == 2
    assert stats.processing_ns > 0


async def test_the_order_of_the_inputs_is_kept():
    node, task, outlet = await started(Gated, "a", "nothing", "b")
    node.open("b", "nothing")
    await settled()
    assert said(outlet) == []
    node.open("a")
    await settled()
    assert said(outlet) == ["a 1", "b 3", "flushed 3"]
    await task


async def test_without_order_outputs_are_given_as_they_come():
    node, task, outlet = await started(GatedAsTheyCome, *"abcd")
    node.open("c")
    await settled()
    assert said(outlet) == ["c 3"]
    node.open("d")
    await settled()
    assert said(outlet) == ["d 4"]
    node.open("a", "b")
    await settled()
    outputs = taken(outlet)
    await task
    assert sorted(m.value.text for m in outputs[:2]) == ["a 1", "b 2"]
    assert (outputs[2].value.text, outputs[2].sequence) == ("flushed 4", 4)


async def test_several_outputs_of_each_keep_together_in_order():
    node, task, outlet = await started(Pairs, "a", "b")
    assert said(outlet) == ["a a"]
    node.open("b")
    await settled()
    assert said(outlet) == []
    node.open("a")
    await settled()
    outputs = taken(outlet)
    await task
    assert [m.value.text for m in outputs] == ["a b", "b a", "b b", "flushed 2"]
    assert [(m.sequence, m.part) for m in outputs] == [(1, 1), (2, 0), (2, 1), (2, 2)]


async def test_parts_are_counted_on_however_many_inputs_have_overtaken():
    words = ["slow", *(f"w{number}" for number in range(300))]
    node, task, outlet = await started(PairsAsTheyCome, *words, capacity=1000)
    node.open(*words[1:])
    outputs = []
    while len(outputs) < 601:
        await settled()
        outputs += taken(outlet)
    node.open("slow")
    await settled()
    (last, flushed) = taken(outlet)
    await task
    assert (last.value.text, last.sequence, last.part) == ("slow b", 1, 1)
    assert flushed.sequence == 301


async def test_without_order_one_with_endless_outputs_does_not_hold_up_the_others():
    class Endless(Node):
        concurrency = 2
        ordered = False

        async def process(self, item: Text) -> AsyncIterator[Text]:
            while item.text == "endless":
                yield item
            yield Text("one")

    _, task, outlet = await started(Endless, "endless", "short", capacity=1000)
    found = said(outlet)
    await cancelled(task)
    assert "one" in found[:10]


async def test_the_end_waits_for_all():
    node, task, outlet = await started(Gated, "a", "b")
    node.open("a")
    await settled()
    assert said(outlet) == ["a 1"]
    assert not task.done()
    node.open("b")
    await settled()
    assert said(outlet) == ["b 2", "flushed 2"]
    await task


async def test_a_fault_cancels_the_others():
    node, task, _ = await started(Gated, "a", "bad", "c")
    node.open("bad")
    with pytest.raises(NodeFault) as fault:
        await task
    assert str(fault.value.__cause__) == "no"
    assert node.cancelled == ["a", "c"]


async def test_a_fault_is_heard_while_an_output_waits_for_space():
    node, task, outlet = await started(GatedAsTheyCome, "a", "b", "bad", capacity=1)
    node.open("a", "b")
    await settled()
    assert not task.done()
    node.open("bad")
    with pytest.raises(NodeFault):
        await task
    assert said(outlet) == ["a 1"]


async def test_cancelling_ends_all():
    node, task, _ = await started(Gated, *"abcd")
    await cancelled(task)
    assert node.cancelled == ["a", "b", "c"]


async def test_one_that_does_not_heed_its_cancellation_does_not_hide_the_fault(monkeypatch):
    class Deaf(Gated):
        async def process(self, item: Text) -> Text:
            if item.text == "bad":
                raise ValueError("no")
            while not self.gates.setdefault("deaf", asyncio.Event()).is_set():
                try:
                    await self.gates["deaf"].wait()
                except asyncio.CancelledError:
                    continue
            return item

    monkeypatch.setattr("penstock.executors.concurrent_loop.LANDING_S", 0.01)
    node, task, _ = await started(Deaf, "a", "bad")
    with pytest.raises(NodeFault):
        await task
    node.open("deaf")
    await settled()


async def test_a_full_lane_holds_the_outputs_back():
    node, task, outlet = await started(Gated, *"abcdef", capacity=1)
    node.open(*"abcdef")
    await settled()
    assert len(node.begun) < 6
    outputs = []
    while not task.done():
        outputs += said(outlet)
        await settled()
    assert outputs == ["a 1", "b 2", "c 3", "d 4", "e 5", "f 6", "flushed 6"]


async def test_an_idle_node_holds_no_input():
    class Drop(Node):
        concurrency = 2

        async def process(self, item: Binary) -> None:
            pass

    rig = Rig()
    rig.add("n", Drop)
    inlet = rig.connect("in", "n")
    value = Binary(np.zeros(4, np.uint8))
    alive = weakref.ref(value)
    offer(inlet, [Message(value)], end=False)
    del value
    task = rig.start()["n"]
    await settled()
    gc.collect()
    assert alive() is None
    inlet.producer.end()
    await task


@settings(max_examples=30)
@given(
    delays=st.lists(st.integers(0, 5), max_size=20),
    counts=st.lists(st.integers(0, 3), min_size=20, max_size=20),
    concurrency=st.integers(2, 5),
    ordered=st.booleans(),
    capacity=st.integers(1, 4),
)
def test_nothing_is_lost_or_told_twice(delays, counts, concurrency, ordered, capacity):
    class Delayed(Node):
        async def process(self, item: Text) -> AsyncIterator[Value]:
            number = int(item.text)
            for part in range(counts[number]):
                for _ in range(delays[number]):
                    await asyncio.sleep(0)
                yield Text(f"{number}.{part}")

    Delayed.concurrency, Delayed.ordered = concurrency, ordered

    async def outputs():
        rig = Rig()
        rig.add("n", Delayed)
        inlet, outlet = rig.connect("in", "n"), rig.connect("n", "out", capacity=capacity)
        offer(inlet, texts(*(str(number) for number in range(len(delays)))))
        task = rig.start()["n"]
        found = []
        while not task.done():
            await settled()
            found += taken(outlet)
        await task
        return found

    found = [(m.value.text, m.sequence - 1, m.part) for m in asyncio.run(outputs())]
    expected = [
        (f"{number}.{part}", number, part)
        for number in range(len(delays))
        for part in range(counts[number])
    ]
    assert (found if ordered else sorted(found)) == (expected if ordered else sorted(expected))
