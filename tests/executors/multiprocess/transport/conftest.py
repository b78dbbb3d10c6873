"""Two ends of a lane in one process: real sockets, real shared memory, no loop around them."""

import gc
import os

import pytest

from penstock.bridges import LaneSpec
from penstock.data import Kind
from penstock.executors.multiprocess.transport import DataPlane, Reactor, socket_pair


class LanePair:
    """A sender and a receiver whose processes' ends of the data plane live here."""

    def __init__(self, **options):
        self.broken = []
        self.planes = []
        budget = options.pop("budget", 64 << 20)
        max_message_bytes = options.get("max_message_bytes", 16 << 20)
        self.options = options
        self.budget, self.max_message_bytes = budget, max_message_bytes
        self.ends = []
        self.source, self.target = self.plane(), self.plane()
        self.sender, self.receiver, self.raw = self.lane(self.source, self.target)

    def plane(self):
        plane = DataPlane(
            Reactor(), len(self.planes) + 1, self.budget, self.max_message_bytes,
            self.broken.append,
        )  # fmt: skip
        self.planes.append(plane)
        return plane

    def lane(self, source, target):
        spec = LaneSpec(len(self.ends) + 1, "a", "b", frozenset(Kind), **self.options)
        left, right = socket_pair()
        ends = source.sender(spec, left), target.receiver(spec, right)
        self.ends += ends
        return *ends, left

    def settle(self):
        """Let every process have its say until nothing moves any more."""
        for _ in range(8):
            for plane in self.planes:
                plane.reactor.poll(0)

    def drain(self):
        taken = []
        self.settle()
        while (message := self.receiver.take()) is not None:
            taken.append(message)
            self.settle()
        return taken

    def close(self):
        for end in self.ends:
            end.close()
        for plane in self.planes:
            plane.close()
            plane.reactor.close()


@pytest.fixture
def lanes():
    """Makes ``LanePair``s and closes them; no descriptor may be left."""
    before = set(os.listdir("/proc/self/fd"))
    made = []

    def make(**options):
        made.append(LanePair(**options))
        return made[-1]

    yield make
    while made:
        made.pop().close()
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) - before == set()
