"""A node's loop: order, stamps, counters, faults, and what it holds while it waits."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_rig import InterruptedAsItTakes, Rig, offer, settled, taken, texts

from penstock.bridges import EpochPage
from penstock.data import Binary, Json, Kind, Message, Text, Value
from penstock.executors.calling import NodeFault, call_plain
from penstock.executors.emitter import Stamper, Turn
from penstock.executors.identity import Identity
from penstock.executors.node_loop import NodeLoop
from penstock.executors.vitals import OwnVitals
from penstock.nodes import Node, NodeContext, NodeParams


class Say(Node):
    """Gives what its input asks for, in every way that a plain method may."""

    def process(self, item: Text) -> Value | None:  # noqa: PLR0911  # a case each
        assert self.ctx.arrival.value is item
        match item.text:
            case "nothing":
                return None
            case "list":
                return [Text("a"), Text("b")]
            case "generator":
                return (Text(letter) for letter in "ab")
            case "awaitable":
                return _later()
            case "junk":
                return 42
            case "bad kind":
                return Json(1)
            case "raise":
                raise ValueError("no")
            case "cancelled":
                raise asyncio.CancelledError
            case _:
                return item


async def _later() -> Text:
    await asyncio.sleep(0)
    return Text("later")


class SayAsync(Say):
    """The same from a coroutine."""

    async def process(self, item: Text) -> Value | None:
        return super().process(item)


def rig_of(cls, **options):
    rig = Rig()
    rig.add("n", cls, **options)
    return rig, rig.connect("in", "n"), rig.connect("n", "out")


async def outcome(cls, *words, **options):
    rig, inlet, outlet = rig_of(cls, **options)
    offer(inlet, texts(*words))
    task = rig.start()["n"]
    await settled()
    outputs = taken(outlet)
    await task
    return rig.loops["n"], outputs


@pytest.mark.parametrize("cls", [Say, SayAsync])
async def test_whatever_a_node_gives_is_stamped_and_counted(cls):
    loop, outputs = await outcome(cls, "x", "nothing", "list", "generator", "y")
    assert [(m.value.text, m.sequence, m.part, m.timestamp_us) for m in outputs] == [
        ("x", 1, 0, 10), ("a", 3, 0, 30), ("b", 3, 1, 30),
        ("a", 4, 0, 40), ("b", 4, 1, 40), ("y", 5, 0, 50),
    ]  # fmt: skip
    assert {m.origin for m in outputs} == {"n"}
    assert (loop.stats.items, loop.stats.outputs) == (5, 6)
    assert loop.stats.execution_ns > 0
    assert loop.node.ctx.arrival is None


@pytest.mark.parametrize("cls", [Say, SayAsync])
async def test_the_time_of_each_input_is_counted_once_however_much_it_gives(cls):
    loop, _ = await outcome(cls, "x", "nothing", "list", "generator", "y")
    assert sum(loop.measured().processing) == 5
    assert loop.measured().processing_ns == loop.stats.execution_ns


async def test_a_plain_method_may_give_an_awaitable_where_there_is_an_event_loop():
    _, outputs = await outcome(Say, "awaitable")
    assert [m.value.text for m in outputs] == ["later"]


@pytest.mark.parametrize("cls", [Say, SayAsync])
@pytest.mark.parametrize(
    ("word", "cause", "says"),
    [
        ("raise", ValueError, "no"),
        ("junk", TypeError, "got int"),
        ("bad kind", TypeError, "gave json, but declares text"),
        ("cancelled", asyncio.CancelledError, ""),
    ],
)
async def test_what_a_node_does_wrong_is_its_fault(cls, word, cause, says):
    with pytest.raises(NodeFault) as fault:
        await outcome(cls, "x", word, emits=frozenset({Kind.TEXT}))
    assert fault.value.during == "process"
    assert isinstance(fault.value.__cause__, cause)
    assert says in str(fault.value.__cause__)


class TooBig:
    """A lane that can't carry anything."""

    def offer(self, message):
        raise ValueError("too big")


async def test_an_output_that_a_lane_can_not_carry_is_the_nodes_fault():
    rig, inlet, _ = rig_of(Say)
    rig.loops["n"].outputs.append(TooBig())
    offer(inlet, texts("x"))
    with pytest.raises(NodeFault) as fault:
        await rig.start()["n"]
    assert str(fault.value.__cause__) == "too big"


class Coroutineless:
    """Would fail at the first thing that waits; counts its breaths."""

    def __init__(self):
        self.breaths = 0

    async def idle(self):
        raise AssertionError("nothing has to wait")

    async def breathe(self):
        self.breaths += 1

    def notify(self):
        raise AssertionError("nobody waits")


def test_where_nothing_has_to_wait_the_pump_is_hardly_asked():
    rig = Rig()
    node = rig_node(Say)
    pump = Coroutineless()
    pulse = OwnVitals().pulse()
    loop = NodeLoop(node, Identity("n", frozenset(Kind)), pump, call_plain, pulse, direct=True)
    inlet, outlet = rig.connect("in", "out", capacity=2000), rig.connect("n", "o", capacity=2000)
    loop.inputs.append(inlet.consumer)
    loop.outputs.append(outlet.producer)
    offer(inlet, texts(*["x"] * 1000))
    run = loop.run()
    with pytest.raises(AssertionError, match="nothing has to wait"):
        run.send(None)  # all is done but that the consumer has not confirmed
    assert len(taken(outlet)) == 1000
    assert pump.breaths < 500


def rig_node(cls):
    return cls(NodeParams(), NodeContext("n", "s", None))


class Steps(Node):
    """Tells when each of its outputs is made."""

    def setup(self):
        self.made = []
        self.closed = False

    def process(self, item: Text) -> Iterator[Text]:
        try:
            for number in range(3):
                self.made.append(number)
                yield Text(str(number))
        finally:
            self.closed = True


class StepsAsync(Steps):
    """The same, asynchronously."""

    async def process(self, item: Text) -> AsyncIterator[Text]:
        try:
            for number in range(3):
                self.made.append(number)
                yield Text(str(number))
        finally:
            self.closed = True


@pytest.mark.parametrize("cls", [Steps, StepsAsync])
async def test_each_output_has_left_before_the_next_is_made(cls):
    rig = Rig()
    node = rig.add("n", cls, direct=cls is Steps)
    node.setup()
    inlet, outlet = rig.connect("in", "n"), rig.connect("n", "out")
    seen = []
    outlet.consumer.on_change = lambda: seen.append(list(node.made))
    offer(inlet, texts("go"))
    rig.start()
    await settled()
    assert seen[:3] == [[0], [0, 1], [0, 1, 2]]
    assert node.closed
    taken(outlet)
    await settled()


@pytest.mark.parametrize("cls", [Steps, StepsAsync])
async def test_a_cancelled_loop_closes_the_open_generator(cls):
    rig = Rig()
    node = rig.add("n", cls, direct=cls is Steps)
    node.setup()
    inlet = rig.connect("in", "n")
    rig.connect("n", "out", capacity=1)
    offer(inlet, texts("go"))
    task = rig.start()["n"]
    await settled()
    assert (node.made, node.closed) == ([0, 1], False)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert node.closed


async def test_fan_out_goes_lane_by_lane_as_there_is_space():
    rig, inlet, slow = rig_of(Say)
    slow = rig.connect("n", "slow", capacity=1)
    fast = rig.lanes["n", "out"]
    offer(inlet, texts("1", "2", "3"))
    task = rig.start()["n"]
    await settled()
    assert [m.value.text for m in taken(fast)] == ["1", "2"]
    assert [m.value.text for m in taken(slow)] == ["1"]
    await settled()
    assert [m.value.text for m in taken(slow)] == ["2"]
    await settled()
    assert [m.value.text for m in taken(slow)] == ["3"]
    assert [m.value.text for m in taken(fast)] == ["3"]
    await task
    assert rig.loops["n"].stats.outputs == 3


class Drop(Node):
    """Takes everything and gives nothing."""

    def process(self, item: Binary) -> None:
        pass


class DropAsync(Node):
    """The same, asynchronously."""

    async def process(self, item: Binary) -> None:
        pass


@pytest.mark.parametrize("cls", [Drop, DropAsync])
async def test_an_idle_node_holds_no_input(cls):
    rig, inlet, _ = rig_of(cls)
    value = Binary(np.zeros(10, np.uint8))
    alive = weakref.ref(value)
    offer(inlet, [Message(value)], end=False)
    del value
    task = rig.start()["n"]
    await settled()
    gc.collect()
    assert alive() is None
    inlet.producer.end()
    await task


class Measure(Node):
    """Gives something else than it took."""

    def process(self, item: Binary) -> Text:
        return Text(str(item.data.size))


async def test_a_node_whose_output_waits_holds_no_input():
    rig = Rig()
    rig.add("n", Measure)
    inlet, outlet = rig.connect("in", "n"), rig.connect("n", "out", capacity=1)
    values = [Binary(np.zeros(size, np.uint8)) for size in (1, 2)]
    alive = [weakref.ref(value) for value in values]
    offer(inlet, [Message(value) for value in values])
    del values
    task = rig.start()["n"]
    await settled()
    gc.collect()
    assert rig.loops["n"].stats.items == 2
    assert [ref() for ref in alive] == [None, None]
    assert [m.value.text for m in taken(outlet)] == ["1"]
    await settled()
    assert [m.value.text for m in taken(outlet)] == ["2"]
    await task


async def test_lanes_are_taken_from_in_turn():
    rig, first, outlet = rig_of(Say)
    second = rig.connect("other", "n")
    offer(first, texts("a", "b"))
    offer(second, texts("x", "y"))
    task = rig.start()["n"]
    await settled()
    order = [m.value.text for m in taken(outlet)]
    await task
    assert sorted(order) == ["a", "b", "x", "y"]
    assert {order[0], order[1]} not in ({"a", "b"}, {"x", "y"})
    assert order.index("a") < order.index("b")
    assert order.index("x") < order.index("y")


@given(st.lists(st.integers(0, 30), max_size=300))
def test_the_parts_of_a_sequence_are_counted_on_behind_a_fan_in(sequences):
    stamper = Stamper("n", Turn())
    stamped = []
    for sequence in sequences:
        stamper.follow(Message(Text(""), sequence))
        message = stamper.stamp(Text(""))
        stamped.append((message.sequence, message.part))
    assert len(set(stamped)) == len(sequences)
    for sequence in set(sequences):
        parts = [part for number, part in stamped if number == sequence]
        assert parts == list(range(len(parts)))


def test_parts_are_counted_on_though_one_way_into_a_fan_in_is_far_ahead():
    """Both ways come from the same inputs; one has five hundred before the other has any."""
    stamper = Stamper("n", Turn())
    parts = {}
    both = zip(range(500, 2500), range(2000), strict=True)
    for number in [*range(500), *(number for pair in both for number in pair)]:
        stamper.follow(Message(Text(""), number))
        parts.setdefault(number, []).append(stamper.stamp(Text("")).part)
    assert all(parts[number] == [0, 1] for number in range(2000))


class SayTogether(SayAsync):
    """Several at once."""

    concurrency = 2


@pytest.mark.parametrize("cls", [Say, SayAsync, SayTogether])
@pytest.mark.parametrize("waiting", [[], ["old"]])
async def test_an_input_that_is_taken_as_an_interrupt_comes_is_of_its_own_turn(cls, waiting):
    """The page changes, and what is sent behind that is there, while the node is taking."""
    page = EpochPage({"in": 0, "up": 1, "n": 2}, shared=False)
    rig = Rig(page)
    rig.add("n", cls)
    inlet, outlet = rig.connect("up", "n"), rig.connect("n", "out")
    for number, word in enumerate(waiting, 1):
        assert inlet.producer.offer(Message(Text(word), number, origin="up"))
    new = Message(Text("new"), 5, epoch=1, origin="up")
    rig.loops["n"].inputs[:] = [InterruptedAsItTakes(inlet, page, new)]
    task = rig.start()["n"]
    await settled()
    assert [(m.value.text, m.epoch) for m in taken(outlet)] == [("new", 1)]
    assert rig.loops["n"].stats.interrupted == len(waiting)
    inlet.producer.end()
    await settled()
    assert taken(outlet) == []
    await task


async def test_an_input_of_another_way_is_kept_as_an_interrupt_comes():
    page = EpochPage({"in": 0, "up": 1, "n": 2, "beside": 3}, shared=False)
    rig = Rig(page)
    rig.add("n", Say)
    inlet, outlet = rig.connect("beside", "n"), rig.connect("n", "out")
    second = Message(Text("second"), 2, origin="beside")
    assert inlet.producer.offer(Message(Text("first"), 1, origin="beside"))
    rig.loops["n"].inputs[:] = [InterruptedAsItTakes(inlet, page, second)]
    task = rig.start()["n"]
    await settled()
    inlet.producer.end()
    await settled()
    assert [m.value.text for m in taken(outlet)] == ["first", "second"]
    await task
