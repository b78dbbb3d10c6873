"""What a host says is believed as far as a host may say it; the session ends at anything else."""

import asyncio
import os
import socket
from dataclasses import dataclass, field

import msgspec
import pytest
from pipelines import chain, options

from penstock.errors import PenstockError, SupervisionError
from penstock.executors.multiprocess import messages as processes
from penstock.executors.multiprocess.channel import encoded
from penstock.executors.multiprocess.transport import socket_pair
from penstock.executors.trail import NodeSpan
from penstock.session import Session, SessionStatus
from penstock.session.hosting import Hosts, messages
from penstock.session.hosting.ensemble import LARGEST_FROM_HOST
from penstock.session.hosting.failures import Failure
from penstock.session.hosting.hosts import BlankHost

NODES = chain("PassThrough")
TO_NODE, TO_CLIENT = 2, 1
"""The client's lanes of that: consumers come first."""


@dataclass
class FakeHost:
    """The other ends of a host's two channels, and of the lanes that it has given.

    Its supervisor stops at once when it is asked.
    """

    supervisor: socket.socket
    control: socket.socket
    lanes: list[socket.socket] = field(default_factory=list)

    def say(self, *said: msgspec.Struct | bytes, descriptors: tuple[int, ...] = ()) -> None:
        for one in said:
            frame = one if isinstance(one, bytes) else encoded(one)
            socket.send_fds(self.control, [frame], list(descriptors))

    def give_lane(self, lane_id: int) -> None:
        ours, theirs = socket_pair()
        self.lanes.append(ours)
        with theirs:
            self.say(messages.ClientLanes([lane_id]), descriptors=(theirs.fileno(),))

    def close(self) -> None:
        for end in (self.supervisor, self.control, *self.lanes):
            end.close()

    def stop(self) -> None:
        """As supervisors do when they are told to."""
        self.supervisor.recv(1 << 16)
        self.supervisor.send(encoded(processes.Stopped()))


class FakeHosts(Hosts):
    """Gives one blank host, which is the test itself."""

    def __init__(self) -> None:
        super().__init__(0)
        ours, its_owner = socket_pair()
        control, its_door = socket_pair()
        self._blank = BlankHost(ours, control, 0)
        self.host = FakeHost(its_owner, its_door)

    def take(self) -> BlankHost:
        return self._blank

    def close(self) -> None:
        self.host.close()


@pytest.fixture
async def fakes():
    kept = FakeHosts()
    kept.host.supervisor.setblocking(False)
    loop = asyncio.get_running_loop()
    loop.add_reader(kept.host.supervisor, kept.host.stop)
    yield kept
    loop.remove_reader(kept.host.supervisor)
    kept.close()


async def failure_of(fakes) -> PenstockError:
    """What the start of a session fails with."""
    session = Session(NODES, options(hosts=fakes))
    async with asyncio.timeout(10):
        with pytest.raises(PenstockError) as told:
            await session.start()
    assert session.context.status is SessionStatus.TERMINATED
    return told.value


def no_descriptor(host: FakeHost) -> None:
    host.say(messages.ClientLanes([TO_NODE]))


def a_file_for_a_lane(host: FakeHost) -> None:
    fd = os.memfd_create("no lane", os.MFD_CLOEXEC)
    host.say(messages.ClientLanes([TO_NODE]), descriptors=(fd,))
    os.close(fd)


def a_stream_for_a_lane(host: FakeHost) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        host.say(messages.ClientLanes([TO_NODE]), descriptors=(stream.fileno(),))


def no_such_lane(host: FakeHost) -> None:
    host.give_lane(99)


def a_lane_twice(host: FakeHost) -> None:
    host.give_lane(TO_NODE)
    host.give_lane(TO_NODE)


def ready_without_lanes(host: FakeHost) -> None:
    host.give_lane(TO_NODE)
    host.say(messages.Ready())


def another_node(host: FakeHost) -> None:
    host.say(messages.Hoarding(99, 1, 1))


def a_span_of_nobody(host: FakeHost) -> None:
    host.say(messages.Traced("nobody", 1, [NodeSpan(1, 0, "n0", 1, 2)], 0))


def no_error_of_ours(host: FakeHost) -> None:
    host.say(messages.Failed(Failure("Exception", "boo", {}), on_the_way_out=False))


def an_error_about_nobody(host: FakeHost) -> None:
    host.say(messages.Failed(Failure("NodeError", "boo", {"node_id": 1}), on_the_way_out=False))


CLAIMS = [
    (no_descriptor, "a lane comes without an end"),
    (a_file_for_a_lane, "a lane comes without an end"),
    (a_stream_for_a_lane, "a socket of another sort"),
    (no_such_lane, "lane 99 is none of its client's"),
    (a_lane_twice, "comes twice"),
    (ready_without_lanes, "it is ready without lane"),
    (another_node, "99"),
    (a_span_of_nobody, "nobody"),
    (no_error_of_ours, "'Exception'"),
    (an_error_about_nobody, "expected ['node_id', 'stderr']"),
]


@pytest.mark.parametrize(("claim", "named"), CLAIMS, ids=lambda one: getattr(one, "__name__", ""))
async def test_what_no_host_says_ends_the_session(claim, named, fakes):
    claim(fakes.host)
    error = await failure_of(fakes)
    assert type(error) is SupervisionError
    assert str(error).startswith("its host said what no host says: ")
    assert named in str(error)


async def test_rubbish_ends_the_session(fakes):
    fakes.host.say(b"\x01rubbish")
    error = await failure_of(fakes)
    assert type(error) is SupervisionError
    assert "what is no control message" in str(error)


async def test_a_message_without_end_ends_the_session(fakes):
    fragment = b"\x00" + bytes(64 << 10)
    loop = asyncio.get_running_loop()
    fakes.host.control.setblocking(False)

    async def flood() -> None:
        for _ in range(LARGEST_FROM_HOST // (64 << 10) + 2):
            await loop.sock_sendall(fakes.host.control, fragment)

    flooding = asyncio.create_task(flood())
    error = await failure_of(fakes)
    await asyncio.wait([flooding])
    flooding.exception()
    assert type(error) is SupervisionError
    assert f"at most {LARGEST_FROM_HOST} bytes" in str(error)


async def test_a_host_that_never_reads_is_asked_no_more_than_it_has_room_for(fakes):
    fakes.host.give_lane(TO_CLIENT)
    fakes.host.give_lane(TO_NODE)
    fakes.host.say(messages.Ready())
    session = Session(NODES, options(hosts=fakes))
    await session.start()
    control = session._life.ensemble._control
    while not control.waiting:
        control.send(messages.Begin())
    await session.metrics()
    assert control.waiting == 1
    fakes.host.control.close()
    await session.cancel("enough")


async def test_a_host_that_can_not_be_started_says_why(fakes):
    fakes.host.supervisor.send(encoded(processes.NotSpawned(processes.HOST, "no more processes")))
    error = await failure_of(fakes)
    assert str(error) == "its host can't be started: no more processes"
