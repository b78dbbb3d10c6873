"""Two processes that flood, pause and wait for each other: a lost wake-up would hang them."""

import contextlib
import gc
import os
import random
import socket
import traceback

import numpy as np
import pytest

from penstock.bridges import LaneSpec
from penstock.data import Binary, Kind, Message
from penstock.executors.multiprocess.transport import DataPlane, Reactor, socket_pair

MESSAGES, ENDLESS = 4000, 1 << 60
SIZES = (0, 1, 100, 1000, 1024, 1025, 5_000, 70_000)
BUDGET, LONGEST = 4 << 20, 1 << 20


class Party:
    """One process's ends of two lanes, one each way; it waits only in its reactor."""

    def __init__(self, seed, capacity, backpressure, messages=MESSAGES):
        self.random = random.Random(seed)
        self.reactor = Reactor()
        self.broken = []
        self.plane = DataPlane(self.reactor, seed + 1, BUDGET, LONGEST, self.broken.append)
        self.options = {"capacity": capacity, "backpressure": backpressure}
        self.messages = messages
        self.offered, self.taken, self.last, self.kept = 0, 0, -1, []

    def connect(self, out, back):
        spec = LaneSpec(1, "a", "b", frozenset(Kind), **self.options)
        self.sender, self.receiver = self.plane.sender(spec, out), self.plane.receiver(spec, back)
        self.sender.on_change = self.receiver.on_change = lambda: None

    def run(self):
        while not (self.sender.finished and self.receiver.ended):
            moved = self._offer_some() + self._take_some()
            assert not self.broken, self.broken
            self.reactor.poll(0 if moved else None)

    def _offer_some(self):
        """Sometimes one, sometimes as many as go."""
        burst = self.random.choice((1, 3, 1000))
        for number in range(burst):
            if self.offered == self.messages:
                return number
            size = self.random.choice(SIZES)
            value = Binary(np.full(size, self.offered % 251, np.uint8))
            if not self.sender.offer(Message(value, self.offered)):
                return number
            self.offered += 1
            if self.offered == self.messages:
                self.sender.end()
        return burst

    def _take_some(self):
        burst = self.random.choice((1, 3, 1000))
        for number in range(burst):
            message = self.receiver.take()
            if message is None:
                self.kept.clear()  # whoever waits must not keep what the other waits for
                return number
            assert message.sequence > self.last
            assert (message.value.data == message.sequence % 251).all()
            self.last = message.sequence
            self.taken += 1
            if self.random.random() < 0.2:
                self.kept.append(message)
            if self.random.random() < 0.1:
                self.kept.clear()
        return burst

    def check(self):
        dropped = sum(self.sender.statistics().dropped.values())
        assert self.sender.statistics().sent == MESSAGES
        assert self.sender.waiting == self.receiver.waiting == 0  # nothing fills a socket
        if self.options["backpressure"]:
            assert (self.taken, self.last, dropped) == (MESSAGES, MESSAGES - 1, 0)

    def close(self):
        self.kept.clear()
        self.sender.close()
        self.receiver.close()
        self.plane.close()
        self.reactor.close()


def play(seed, out, back, capacity, backpressure):
    party = Party(seed, capacity, backpressure)
    with contextlib.closing(party):
        party.connect(out, back)
        party.run()
        party.check()


def in_child(work):
    """Run it in a forked process; what it raises is printed, and is its exit code."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001  # whatever it is, the child must not go on as a test
        traceback.print_exc()
    finally:
        os._exit(code)


@pytest.mark.parametrize("backpressure", [True, False])
@pytest.mark.parametrize("capacity", [1, 2, 7, 100, 10_000])
def test_two_processes_that_flood_each_other_come_to_an_end(capacity, backpressure):
    there, back = socket_pair(), socket_pair()
    ends = [*there, *back]
    with contextlib.ExitStack() as stack:
        for end in ends:
            stack.enter_context(end)

        def other():
            _keep_only(ends, there[1], back[1])
            play(1, back[1], there[1], capacity, backpressure)

        pid = in_child(other)
        _keep_only(ends, there[0], back[0])
        play(0, there[0], back[0], capacity, backpressure)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _keep_only(ends: list[socket.socket], *kept):
    for end in ends:
        if end not in kept:
            end.close()


def test_a_fork_may_let_go_of_what_it_has_inherited():
    """It has no part in the memory: not to write to it, and not to free what lies there since."""
    there, back = socket_pair(), socket_pair()
    party, peer = (Party(seed, 100, True) for seed in range(2))
    with contextlib.closing(party), contextlib.closing(peer):
        party.connect(there[0], back[0])
        peer.connect(back[1], there[1])
        held = []
        while len(held) < 20:
            party.sender.offer(Message(Binary(np.full(70_000, 7, np.uint8)), len(held)))
            party.reactor.poll(0)
            peer.reactor.poll(0)
            if (message := peer.receiver.take()) is not None:
                held.append(message)

        def other():
            nonlocal party, peer
            held.clear()
            party = peer = None
            gc.collect()
            again = Party(2, 10_000, True)  # where that was
            again.connect(*socket_pair())
            assert again.sender.offer(Message(Binary(np.ones(70_000, np.uint8)), 0))
            gc.collect()

        pid = in_child(other)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert all((message.value.data == 7).all() for message in held)
        held.clear()


@pytest.mark.parametrize("capacity", [1, 100])
def test_the_death_of_either_is_heard_by_the_other(capacity):
    there, back = socket_pair(), socket_pair()

    def other():
        _keep_only([*there, *back], there[1], back[1])
        party = Party(1, capacity, True, ENDLESS)
        party.connect(back[1], there[1])
        for _ in range(200):
            party._offer_some()
            party._take_some()
            party.reactor.poll(0)
        os._exit(0)

    pid = in_child(other)
    _keep_only([*there, *back], there[0], back[0])
    party = Party(0, capacity, True, ENDLESS)
    with contextlib.closing(party):
        party.connect(there[0], back[0])
        while len(party.broken) < 2:
            moved = party._offer_some() + party._take_some()
            party.reactor.poll(0 if moved else None)
    os.waitpid(pid, 0)
    assert {type(error).__name__ for error in party.broken} == {"LaneClosedError"}
