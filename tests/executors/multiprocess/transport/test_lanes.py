"""Lanes over slabs and sockets: in order, without copies, bounded, conserved."""

import gc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.bridges import LaneState, Purpose
from penstock.data import Audio, Binary, Json, Message, Text
from penstock.errors import InputError
from penstock.executors.multiprocess.transport import guaranteed_pool
from tests.samples import noise

POOL = guaranteed_pool(16 << 20)
"""What a process has where nothing else is written."""


@pytest.mark.parametrize("nbytes", [0, 1, 1023, 1024, 1025, 4096, 65_537, 3_840_000, 16 << 20])
def test_every_size_crosses(lanes, nbytes):
    pair = lanes(verify=True)
    value = Binary(noise(nbytes))
    assert pair.sender.offer(Message(value))
    (received,) = pair.drain()
    assert received.value == value
    assert pair.sender.statistics().payload_bytes == nbytes
    assert pair.sender.statistics().copies == (nbytes > 1024)
    assert pair.receiver.statistics().copies == 0


@pytest.mark.parametrize("purpose", [Purpose.VERDICT, Purpose.EDGE])
def test_the_first_verdict_is_there_before_the_lane_has_been_waited_for(lanes, purpose):
    """What was sent after it, over something else, may be heard of first."""
    pair = lanes(purpose=purpose)
    pair.sender.offer(Message(Text("drop it")))
    assert (pair.receiver.take() is not None) == (purpose is Purpose.VERDICT)
    assert len(pair.drain()) == (purpose is Purpose.EDGE)


def test_a_payload_that_came_by_is_passed_on_where_it_lies(lanes):
    pair = lanes()
    onward = pair.plane()
    sender, receiver, _ = pair.lane(pair.target, onward)
    value = Binary(noise(500_000))
    pair.sender.offer(Message(value))
    (message,) = pair.drain()
    halves = [Binary(message.value.data[:250_000]), Binary(message.value.data[250_000:])]
    for part in [message.value, *halves]:
        assert sender.offer(Message(part))
    pair.settle()
    received = [receiver.take().value for _ in range(3)]
    assert received[0] == value
    assert received[1] == Binary(value.data[:250_000])
    assert received[2] == Binary(value.data[250_000:])
    assert sender.statistics().copies == 0
    assert pair.target.arena.used_bytes == 0


def test_allocated_memory_leaves_without_a_copy_and_is_read_only_from_then_on(lanes):
    pair = lanes()
    flat = pair.source.arena.allocate(80_000)
    samples = flat.view(np.float32).reshape(-1, 2)
    samples[:] = 0.25
    assert pair.sender.offer(Message(Audio(samples, 48_000)))
    assert not flat.flags.writeable
    (received,) = pair.drain()
    assert received.value.samples[0, 0] == 0.25
    assert pair.sender.statistics().copies == 0


def test_a_view_can_not_be_written_to(lanes):
    pair = lanes()
    pair.sender.offer(Message(Binary(noise(5000))))
    (received,) = pair.drain()
    with pytest.raises(ValueError, match="read-only"):
        received.value.data[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        received.value.data.flags.writeable = True


def test_a_slot_is_not_reused_while_a_slice_of_it_lives(lanes):
    pair = lanes(budget=1 << 20)
    pair.sender.offer(Message(Binary(np.full(100_000, 1, np.uint8))))
    (message,) = pair.drain()
    kept = message.value.data[5::7]
    del message
    for _ in range(50):
        pair.sender.offer(Message(Binary(np.full(100_000, 2, np.uint8))))
        pair.drain()
    assert (kept == 1).all()


def test_memory_that_runs_out_blocks_and_a_released_view_unblocks(lanes):
    pair = lanes(budget=256 << 10, max_message_bytes=100_000)
    sent = 0
    while pair.sender.offer(Message(Binary(noise(100_000)), sent)):
        sent += 1
    assert 1 <= sent <= 3
    assert pair.sender.statistics().state is LaneState.BLOCKED
    changes = []
    pair.sender.on_change = lambda: changes.append(True)
    pair.drain()
    gc.collect()
    pair.settle()
    assert changes
    assert pair.sender.offer(Message(Binary(noise(100_000)), sent))


def test_another_size_finds_room_when_idle_slabs_can_go(lanes):
    pair = lanes(budget=1 << 20, max_message_bytes=800_000)
    for size in (5_000, 60_000, 800_000, 5_000, 400_000):
        assert pair.sender.offer(Message(Binary(noise(size))))
        assert len(pair.drain()) == 1
        gc.collect()
        pair.settle()
    assert pair.source.arena.used_bytes <= 1 << 20


def test_a_consumer_that_hoards_gets_copies_and_the_producer_goes_on(lanes):
    pair = lanes(budget=4 << 20, max_message_bytes=100_000, capacity=4)
    hoard = []
    for number in range(100):
        assert pair.sender.offer(Message(Binary(np.full(90_000, number, np.uint8)), number))
        hoard += pair.drain()
        pair.settle()
    assert [m.value.data[0] for m in hoard] == list(range(100))
    assert pair.receiver.statistics().copies > 50


def test_a_message_over_the_limit_is_refused_at_the_sender(lanes):
    pair = lanes(max_message_bytes=1000)
    with pytest.raises(InputError, match="1001 bytes exceeds max_message_bytes 1000"):
        pair.sender.offer(Message(Binary(noise(1001))))


def test_nan_is_no_json(lanes):
    with pytest.raises(ValueError, match="not JSON"):
        lanes().sender.offer(Message(Json(float("nan"))))


def test_a_full_lane_blocks_until_the_consumer_takes(lanes):
    pair = lanes(capacity=4)
    for number in range(4):
        assert pair.sender.offer(Message(Text("x"), number))
    assert not pair.sender.offer(Message(Text("x"), 4))
    pair.settle()
    assert pair.sender.statistics().state is LaneState.BLOCKED
    assert pair.receiver.take().sequence == 0
    pair.settle()
    assert pair.sender.statistics().state is LaneState.IDLE
    assert pair.sender.statistics().blocked_ns > 0
    assert pair.sender.offer(Message(Text("x"), 4))


def test_a_block_counts_while_it_lasts_and_no_longer(lanes):
    pair = lanes(capacity=1)
    pair.sender.offer(Message(Text("x")))
    assert not pair.sender.offer(Message(Text("x")))
    first = pair.sender.statistics().blocked_ns
    second = pair.sender.statistics().blocked_ns
    assert 0 < first < second
    pair.drain()
    pair.settle()
    after = pair.sender.statistics().blocked_ns
    assert pair.sender.statistics().blocked_ns == after > second
    pair.sender.offer(Message(Text("x")))
    assert not pair.sender.offer(Message(Text("x")))
    pair.sender.close()
    closed = pair.sender.statistics().blocked_ns
    assert pair.sender.statistics().blocked_ns == closed > after


def test_what_a_closed_lane_has_lent_is_never_used_again(lanes):
    """Its consumer may still look at it, and can't say any more when it doesn't."""
    pair = lanes(capacity=4)
    pair.sender.offer(Message(Binary(np.full(100_000, 1, np.uint8))))
    (message,) = pair.drain()
    kept = message.value.data[5::7]
    del message
    pair.sender.close()
    sender, receiver, _ = pair.lane(pair.source, pair.target)
    for number in range(2, 50):
        assert sender.offer(Message(Binary(np.full(100_000, number, np.uint8))))
        pair.settle()
        assert (receiver.take().value.data == number).all()
    assert (kept == 1).all()


def test_thousands_of_messages_may_wait_though_a_socket_holds_far_fewer(lanes):
    pair = lanes(capacity=10_000)
    for number in range(10_000):
        assert pair.sender.offer(Message(Text("x" * 50), number))
    assert not pair.sender.offer(Message(Text("x"), 10_000))
    received = []
    while len(received) < 10_000:
        received += pair.drain()
    assert [m.sequence for m in received] == list(range(10_000))


@pytest.mark.parametrize("keep", ["newest", "oldest"])
def test_without_backpressure_the_excess_is_dropped_and_counted(lanes, keep):
    pair = lanes(capacity=10, backpressure=False, keep=keep)
    for number in range(100):
        assert pair.sender.offer(Message(Text("x"), number))
    pair.sender.end()
    received = [m.sequence for m in pair.drain()]
    pair.settle()
    dropped = sum(pair.sender.statistics().dropped.values())
    dropped += sum(pair.receiver.statistics().dropped.values())
    assert received == sorted(received)
    assert len(received) + dropped == 100
    assert dropped > 50
    assert (99 in received) == (keep == "newest")
    assert (0 in received) == (keep == "oldest" or pair.receiver.statistics().dropped == {})
    assert pair.sender.finished
    assert pair.broken == []


def test_the_end_waits_for_everything_and_is_confirmed(lanes):
    pair = lanes()
    for number in range(3):
        pair.sender.offer(Message(Text("x"), number))
    pair.sender.end()
    pair.settle()
    assert not pair.receiver.ended
    assert not pair.sender.finished
    assert len(pair.drain()) == 3
    pair.settle()
    assert pair.receiver.ended
    assert pair.sender.finished


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    capacity=st.integers(1, 12),
    backpressure=st.booleans(),
    keep=st.sampled_from(["newest", "oldest"]),
    steps=st.lists(st.sampled_from(["offer", "take", "producer", "consumer"]), max_size=120),
    size=st.sampled_from([1, 900, 5_000, 70_000]),
)
def test_whatever_the_order_of_things_nothing_is_lost_uncounted(
    lanes, capacity, backpressure, keep, steps, size
):
    pair = lanes(capacity=capacity, backpressure=backpressure, keep=keep)
    taken, number = [], 0
    for step in steps:
        if step == "offer":
            number += pair.sender.offer(
                Message(Binary(np.full(size, number % 251, np.uint8)), number)
            )
        elif step == "take" and (message := pair.receiver.take()) is not None:
            assert (message.value.data == message.sequence % 251).all()
            taken.append(message.sequence)
        elif step == "producer":
            pair.source.reactor.poll(0)
        else:
            pair.target.reactor.poll(0)
    pair.sender.end()
    taken += [message.sequence for message in pair.drain()]
    pair.settle()
    dropped = sum(pair.sender.statistics().dropped.values())
    dropped += sum(pair.receiver.statistics().dropped.values())
    assert pair.broken == []
    assert pair.sender.finished
    assert taken == sorted(set(taken))
    assert len(taken) + dropped == number
    assert not (backpressure and dropped)


def test_a_hoarder_of_many_sizes_does_not_pin_the_whole_pool(lanes):
    pair = lanes(budget=8 << 20, max_message_bytes=1 << 20, capacity=4)
    hoard = []
    for number in range(40):
        size = 5_000 + 23_000 * number
        assert pair.sender.offer(Message(Binary(np.full(size, number, np.uint8)), number)), number
        hoard += pair.drain()
        pair.settle()
    assert [m.value.data[0] for m in hoard] == list(range(40))


@pytest.mark.parametrize("order", ["C", "F"])
def test_gaps_are_closed_by_one_copy_into_the_slot(lanes, order):
    pair = lanes(verify=True)
    whole = np.arange(16_000, dtype=np.float32).reshape(4000, 4)
    samples = np.asarray(whole, order=order)[::2, 1:3]
    assert pair.sender.offer(Message(Audio(samples, 16_000)))
    (received,) = pair.drain()
    assert received.value == Audio(samples.copy(), 16_000)
    assert pair.sender.statistics().copies == 1


def test_who_keeps_what_he_lends_on_does_not_keep_the_pool(lanes):
    """Nobody behind takes any of it, so that all of it is lent on as long as there is room."""
    pair = lanes(budget=8 << 20, max_message_bytes=1 << 20)
    passing, _, _ = pair.lane(pair.target, pair.plane())
    kept, lent = [], 0
    for number in range(30):
        assert pair.sender.offer(Message(Binary(np.full(900_000, number, np.uint8)), number))
        kept += pair.drain()
        lent += passing.offer(kept[-1])
    assert lent > 8, "as many as the pool has room for, and then some of its own"
    assert [one.value.data[0] for one in kept] == list(range(30))
    statistics = pair.receiver.statistics()
    assert statistics.held == pair.receiver.kept
    assert statistics.held + statistics.copies >= 30
    assert statistics.held_bytes <= 4 << 20


def hoarders(plane):
    """Whom a process names, from now on."""
    told = []
    plane.on_hoarding = told.append
    return told


@pytest.mark.parametrize("size", [2_000, 400_000, 4 << 20])
def test_a_view_in_the_largest_slab_that_there_is_is_no_hoard(lanes, size):
    """A quarter of the pool is what a consumer may keep; a slab is no more than half of that."""
    pair = lanes(budget=POOL)
    told, filling = hoarders(pair.target), []
    while (slot := pair.source.arena.allocate(size)) is not None:
        filling.append(slot)
    del filling[-1]
    assert pair.sender.offer(Message(Binary(noise(size))))
    [kept] = pair.drain()
    assert kept.value.data.size == size
    statistics = pair.receiver.statistics()
    assert (statistics.held, statistics.copies, told) == (1, 0, [])
    assert statistics.held_bytes <= POOL // 8


def test_who_takes_messages_of_which_two_fill_the_pool_gets_copies_and_is_not_named(lanes):
    pair = lanes(budget=POOL)
    told = hoarders(pair.target)
    for number in range(3):
        assert pair.sender.offer(Message(Binary(np.full(16 << 20, number, np.uint8))))
        [taken] = pair.drain()
        assert (taken.value.data == number).all()
    assert (pair.receiver.statistics().copies, told) == (3, [])


def test_what_is_only_lent_on_is_not_kept(lanes):
    pair = lanes(budget=8 << 20, max_message_bytes=1 << 20)
    passing, end, _ = pair.lane(pair.target, pair.plane())
    for number in range(6):
        assert pair.sender.offer(Message(Binary(np.full(900_000, number, np.uint8)), number))
        [message] = pair.drain()
        for part in (slice(0, 450_000), slice(450_000, None)):
            assert passing.offer(Message(Binary(message.value.data[part]), number))
        del message
    pair.settle()
    assert (pair.receiver.kept, pair.receiver.statistics().held) == (0, 6)
    assert pair.receiver.statistics().copies == 0
    again = end.take()
    assert again.value.data[0] == 0


def test_memory_lent_on_comes_back_through_all_hands(lanes):
    """The owner starves; what it lent lies two lanes further, with somebody who is idle."""
    pair = lanes()
    last = pair.plane()
    pair.budget = 512 << 10
    owner = pair.plane()
    first, middle, _ = pair.lane(owner, pair.target)
    passing, end, _ = pair.lane(pair.target, last)
    kept, changes = [], []
    first.on_change = lambda: changes.append(True)
    while first.offer(Message(Binary(np.zeros(100_000, np.uint8)), len(kept))):
        pair.settle()
        assert passing.offer(middle.take())
        pair.settle()
        kept.append(end.take())
        assert len(kept) < 10
    pair.settle()
    assert not changes
    kept.clear()
    pair.settle()
    assert changes
    assert first.offer(Message(Binary(np.zeros(100_000, np.uint8))))


def test_what_comes_back_is_written_to_next(lanes):
    pair = lanes()
    places = set()
    for number in range(50):
        flat = pair.source.arena.allocate(300_000)
        places.add(flat.ctypes.data)
        pair.sender.offer(Message(Binary(flat), number))
        del flat
        pair.settle()
        assert pair.receiver.take().sequence == number
    assert len(places) == 1


def test_all_that_can_wait_may_come_back_at_once(lanes):
    """The consumer sets aside as many as the lane's capacity, and the ring is full behind them."""
    pair = lanes(capacity=1530, backpressure=False)
    value = Binary(noise(2000))
    first = []
    for _ in range(8):
        while not pair.sender.statistics().waiting:
            assert pair.sender.offer(Message(value))
        pair.target.reactor.poll(0)
        first.append(pair.receiver.take())
        pair.source.reactor.poll(0)
    first.clear()
    while pair.receiver.take() is not None:
        pass
    pair.sender.end()
    pair.drain()
    pair.settle()
    assert pair.sender.finished
    assert pair.sender.lent == 0
    assert pair.broken == []


def test_what_comes_back_and_is_held_elsewhere_does_not_end_the_waiting(lanes):
    """One slot lies on two lanes: that one consumer gives it back frees nothing yet."""
    pair = lanes()
    pair.budget = 64 << 10
    owner = pair.plane()
    sender, receiver, _ = pair.lane(owner, pair.target)
    other, other_receiver, _ = pair.lane(owner, pair.target)
    shared = Binary(noise(12_000))
    assert sender.offer(Message(shared))
    assert other.offer(Message(shared))
    del shared
    while sender.offer(Message(Binary(noise(12_000)))):
        pass
    pair.settle()
    changes = []
    sender.on_change = lambda: changes.append(True)
    received = [receiver.take() for _ in range(sender.lent)]
    both = other_receiver.take()
    pair.settle()
    del received[0]
    pair.settle()
    assert not changes
    received.clear()
    pair.settle()
    assert changes
    assert both.value.data.size == 12_000


def test_memory_lent_on_comes_back_whatever_comes_back_before(lanes):
    """The owner starves; who holds its memory first lets go of somebody else's."""
    pair = lanes()
    last = pair.plane()
    pair.budget = 64 << 10
    owner = pair.plane()
    first, middle, _ = pair.lane(owner, pair.target)
    passing, end, _ = pair.lane(pair.target, last)
    changes, held = [], []
    first.on_change = lambda: changes.append(True)
    pair.sender.offer(Message(Binary(noise(12_000))))
    while first.offer(Message(Binary(noise(12_000)))):
        pass
    pair.settle()
    passing.offer(pair.receiver.take())
    while (message := middle.take()) is not None:
        assert passing.offer(message)
    del message
    pair.settle()
    while (message := end.take()) is not None:
        held.append(message)
    pair.settle()
    assert not changes
    while held:
        del held[0]
        pair.settle()
    assert changes
    assert pair.broken == []
