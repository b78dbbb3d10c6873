"""The ends of lanes where something is short, fails, or is already closed."""

import gc
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from penstock.bridges import LaneState
from penstock.data import Binary, Message, Text
from penstock.errors import InputError, LaneError
from penstock.executors.multiprocess.transport import Reactor, SharedArena, sealing
from tests.samples import noise


def test_a_closed_lane_takes_nothing_and_says_nothing(lanes):
    """The numbers of its descriptors may belong to somebody else by now."""
    pair = lanes(capacity=1)
    assert pair.sender.offer(Message(Text("x")))
    assert not pair.sender.offer(Message(Text("x")))
    pair.sender.close()
    pair.sender.memory_freed()
    assert not pair.sender.offer(Message(Text("x")))
    pair.sender.end()
    assert pair.sender.statistics().state is LaneState.CLOSED
    pair.sender.close()


def test_a_closed_arena_lends_nothing(lanes):
    arena = SharedArena(1, 1 << 20)
    kept = arena.allocate(5000)
    arena.close()
    assert arena.allocate(5000) is None
    assert kept.size == 5000


def test_a_closed_arena_keeps_no_memory_for_the_ends_of_its_lanes(lanes):
    """Whoever keeps an end, an exception's traceback perhaps, keeps all that it refers to."""
    pair = lanes(capacity=100)
    before = mapped_bytes()
    for _ in range(100):
        assert pair.sender.offer(Message(Binary(noise(50_000))))
    pair.settle()
    assert mapped_bytes() - before > 2 * 100 * 50_000  # in both ends of the plane
    for one in (*pair.ends, *pair.planes):
        one.close()
    assert mapped_bytes() - before < 50_000


def mapped_bytes():
    """Bytes of memory that this process shares, or could."""
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    areas = [line[0].split("-") for line in maps if line[5:] == ["/memfd:penstock", "(deleted)"]]
    return sum(int(end, 16) - int(begin, 16) for begin, end in areas)


@pytest.mark.parametrize("keep", ["newest", "oldest"])
def test_what_can_not_be_sent_does_not_stay_in_the_way(lanes, keep):
    pair = lanes(backpressure=False, keep=keep, max_message_bytes=10_000)
    with pytest.raises(InputError):
        pair.sender.offer(Message(Binary(noise(10_001))))
    assert pair.sender.offer(Message(Text("x")))
    pair.sender.end()
    assert [message.value for message in pair.drain()] == [Text("x")]
    assert pair.sender.finished
    assert pair.broken == []


@pytest.mark.parametrize("name", ["part", "epoch"])
def test_a_number_that_a_lane_can_not_carry_leaves_nothing_lent(lanes, name):
    pair = lanes(budget=1 << 20)
    for _ in range(300):
        message = Message(Binary(noise(50_000)), **{name: 1 << 32})
        with pytest.raises(OverflowError, match=f"{name} 4294967296"):
            pair.sender.offer(message)
    assert pair.sender.offer(Message(Binary(noise(50_000))))
    assert len(pair.drain()) == 1


def test_messages_wait_for_the_announcement_of_their_slab(lanes):
    """The socket may be full: a message must not overtake what says where it lies."""
    pair = lanes(capacity=8)
    while not pair.sender.waiting:
        pair.sender.send_frame(b"\x01\x08" + bytes(4))
    for number in range(9):
        assert pair.sender.offer(Message(Binary(noise(5000)), number)) == (number < 8)
    assert pair.receiver.take() is None
    while pair.sender.waiting:
        pair.settle()
    assert [message.sequence for message in pair.drain()] == list(range(8))
    pair.settle()
    assert pair.sender.offer(Message(Text("x")))
    assert pair.broken == []


def test_a_view_of_another_session_is_copied(lanes):
    """Slabs have the same numbers there."""
    one, other = lanes(), lanes()
    for pair, fill in ((one, 1), (other, 2)):
        pair.sender.offer(Message(Binary(np.full(5000, fill, np.uint8))))
    (theirs,), (ours,) = one.drain(), other.drain()
    assert other.sender.offer(Message(theirs.value))
    (received,) = other.drain()
    assert (received.value.data == 1).all()
    assert (ours.value.data == 2).all()
    assert other.sender.statistics().copies == 2


def test_a_view_of_a_closed_lane_is_copied(lanes):
    pair = lanes()
    sender, receiver, _ = pair.lane(pair.target, pair.plane())
    pair.sender.offer(Message(Binary(np.full(5000, 1, np.uint8))))
    (message,) = pair.drain()
    pair.receiver.close()
    assert pair.target.arena.borrowed == ()
    assert sender.offer(Message(message.value))
    pair.settle()
    assert (receiver.take().value.data == 1).all()
    assert sender.statistics().copies == 1


def test_what_two_lanes_announce_stays_until_both_have_given_it_up(lanes):
    pair = lanes()
    sender, receiver, _ = pair.lane(pair.source, pair.target)
    for end in (pair.sender, sender):
        assert end.offer(Message(Binary(noise(5000))))
    pair.settle()
    assert pair.receiver.take() is not None
    pair.receiver.close()
    assert len(pair.target.arena.borrowed) == 1
    assert receiver.take() is not None
    receiver.close()
    assert pair.target.arena.borrowed == ()


def test_a_message_that_finds_half_its_room_does_not_wake_itself(lanes):
    """It needs two slots: the one that it gives back is no news to it."""
    pair = lanes(budget=64 << 10, max_message_bytes=60_000)
    value = Binary(noise(56_000), metadata={"key": "x" * 9000})
    assert not pair.sender.offer(Message(value))
    for _ in range(5):
        pair.source.reactor.poll(0)
    polls = 0
    while pair.source.reactor.poll(0):
        polls += 1
        assert polls < 10
    offers = []
    pair.sender.on_change = lambda: offers.append(pair.sender.offer(Message(value)))
    for _ in range(20):
        pair.source.reactor.poll(0)
    assert offers == []


def filled(arena):
    held = []
    while (more := arena.allocate(200_000)) is not None:
        held.append(more)
    return held


def test_a_full_arena_says_so_once_and_then_that_there_is_room():
    arena, told = SharedArena(1, 1 << 20), []
    arena.vacancy.on_free = lambda: told.append("free")
    arena.on_full = lambda: told.append("full")
    held = filled(arena)
    assert arena.allocate(200_000) is None
    assert told == ["full"]
    held.pop()
    held.pop()
    assert told == ["full", "free"]
    held += filled(arena)
    assert told == ["full", "free", "full"]
    arena.close()


def test_room_that_comes_while_it_is_looked_for_is_found(monkeypatch):
    """Another thread may free a slot between the look and the wish to be told of one."""
    arena = SharedArena(1, 1 << 20)
    held = filled(arena)
    held.pop()
    held.append(arena.allocate(200_000))
    slab_slots = sealing.slab_slots

    def free_one_meanwhile(*arguments):
        if len(held) == 4:
            held.pop()
        return slab_slots(*arguments)

    monkeypatch.setattr(sealing, "slab_slots", free_one_meanwhile)
    assert arena.allocate(200_000) is not None
    arena.close()


class AllocatesAsItDies:
    def __init__(self, arena, made):
        self.arena, self.made, self.ring = arena, made, self

    def __del__(self):
        self.made.append(self.arena.allocate(70_000))


def test_a_destructor_may_allocate_while_a_slab_is_made():
    """The collector may run anywhere: there must be no lock that it waits for."""
    arena, made = SharedArena(1, 8 << 20), []
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for size in range(5_000, 200_000, 9_000):
            AllocatesAsItDies(arena, made)
            made.append(arena.allocate(size))
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    made = [array for array in made if array is not None]
    assert len({array.ctypes.data for array in made}) == len(made)
    assert arena.used_bytes <= arena.budget_bytes
    arena.close()


def test_a_lease_that_somebody_makes_stands_for_nothing(lanes):
    pair = lanes()
    pair.sender.offer(Message(Binary(noise(5000))))
    (message,) = pair.drain()
    allocated = pair.source.arena.allocate(5000)
    for array in (message.value.data, allocated):
        lease = array.base if isinstance(array.base, np.ndarray) else array
        type(lease.base)()


def test_what_one_handler_raises_does_not_cost_the_others_their_turn():
    """An edge is told only once."""
    reactor, heard = Reactor(), []
    bells = [os.eventfd(1) for _ in range(3)]

    def ring(number):
        heard.append(number)
        if number != 1:
            raise ValueError(number)

    for number, bell in enumerate(bells):
        reactor.register(bell, lambda _events, number=number: ring(number), 1 | 1 << 31)
    with pytest.raises(ValueError, match="2"):
        reactor.poll(0)
    assert sorted(heard) == [0, 1, 2]
    for bell in bells:
        reactor.unregister(bell)
        os.close(bell)
    reactor.close()


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_a_lane_that_the_system_refuses_something_to_is_broken_by_name(lanes, end):
    """Who offers or takes goes on: it is the session that ends."""
    pair = lanes()
    port = getattr(pair, end)
    while not port.waiting:
        port.send_frame(b"\x01\x09\x00\x00\x00\x00")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        port.send_frame(b"\x01\x09\x00\x00\x00\x00", [0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    [error] = pair.broken
    assert isinstance(error, LaneError)
    assert error.lane == "a → b"
    assert "ulimit -n" in str(error)
