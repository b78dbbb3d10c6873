"""Control messages arrive whole, and what is none ends the channel with a word on why."""

import contextlib
import os
import socket
import threading

import pytest

from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import Channel, encoded
from penstock.executors.multiprocess.transport import Reactor, socket_pair


class Ends:
    """A channel that is listened to, and the bare socket at its other end."""

    def __init__(self):
        ours, self.raw = socket_pair()
        self.reactor = Reactor()
        self.heard, self.ends = [], 0
        self.channel = Channel(
            ours, self.reactor, messages.FromNode, lambda *said: self.heard.append(said), self.end
        )

    def end(self):
        self.ends += 1

    def say(self, *frames, descriptors=()):
        for frame in frames:
            socket.send_fds(self.raw, [frame], descriptors)
            self.reactor.poll(0)

    def close(self):
        self.channel.close()
        self.reactor.close()
        self.raw.close()


@pytest.fixture
def ends():
    made = Ends()
    yield made
    made.close()


@pytest.fixture
def pair(ends):
    """The same with a channel at the other end, too."""
    other = Channel(ends.raw, ends.reactor, messages.FromNode, lambda *_: None, lambda: None)
    yield ends, other
    other.close()


def test_a_message_of_many_fragments_comes_whole(pair):
    ends, other = pair
    message = messages.Failed("process", "ValueError", "x" * 1_000_000, "")
    other.send(message)
    while not ends.heard:
        ends.reactor.poll(0)
    assert ends.heard == [(message, [])]
    assert ends.channel.fault is None


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        ([b"\x02rubbish"], "expected a frame that starts with 00 or 01, got 02 72 75"),
        ([b"\x01\x01rubbish"], "expected a message, got 8 bytes that are none"),
        ([b"\x00" + bytes(600)] * 2, "expected a message of at most 1000 bytes, got 1200"),
        ([b"\x01" + bytes(1001)], "expected a message of at most 1000 bytes, got 1001"),
    ],
)
def test_what_is_no_message_ends_the_channel_and_is_told(ends, frames, fault):
    ends.channel.largest = 1000
    ends.say(*frames)
    assert (ends.heard, ends.ends) == ([], 1)
    assert ends.channel.fault.startswith(fault)


def test_descriptors_without_end_are_refused_and_closed(ends):
    before = set(os.listdir("/proc/self/fd"))
    with open(os.devnull) as null:
        fds = [null.fileno()] * 3
        ends.say(b"\x00", b"\x00", b"\x00", descriptors=fds)
    assert ends.channel.fault == "expected at most 8 descriptors with a message, got 9"
    assert set(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("how", ["its peer ends", "it is closed"])
def test_what_came_of_a_message_is_let_go_of(ends, how):
    before = set(os.listdir("/proc/self/fd"))
    with open(os.devnull) as null:
        ends.say(b"\x00", descriptors=[null.fileno()])
    assert set(os.listdir("/proc/self/fd")) > before
    if how == "its peer ends":
        ends.raw.shutdown(socket.SHUT_RDWR)
        ends.reactor.poll(0)
        assert ends.ends == 1
    ends.channel.close()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert ends.channel.fault is None


def test_a_message_that_nobody_would_take_is_not_sent(pair):
    _, other = pair
    with pytest.raises(ValueError, match="Failed: at most 67108864 bytes, got 67108"):
        other.send(messages.Failed("process", "ValueError", "x" * (64 << 20), ""))


def test_what_the_system_refuses_later_ends_the_channel_once(ends):
    """Nobody is there to be told any more: the peer would wait for ever."""
    while not ends.channel.waiting:
        ends.channel.send_frame(b"\x01")
    ends.channel.send_frame(b"\x01" * (8 << 20))  # longer than any socket's datagram
    ends.raw.setblocking(False)
    for _ in range(100):
        with contextlib.suppress(BlockingIOError):
            while ends.raw.recv(16):
                pass
        ends.reactor.poll(0)
    assert ends.ends == 1
    assert ends.channel.waiting == 0


def test_all_that_a_dead_peer_said_is_heard_at_once(ends):
    """Its death may be told of by another, who must not be believed before its own words."""
    for number in range(50):
        ends.raw.send(encoded(messages.Progress("loading_model", 0.0, str(number))))
    ends.raw.close()
    ends.channel.drain()
    assert [message.message for message, _ in ends.heard] == [str(n) for n in range(50)]
    assert ends.ends == 1
    ends.channel.drain()
    assert ends.ends == 1


def filled(ends):
    """So many messages that some wait here."""
    while ends.channel.waiting < 3:
        ends.channel.send(messages.Ready())
    return ends.channel


def test_what_waits_is_flushed_once_its_peer_reads(ends):
    channel = filled(ends)

    def read():
        ends.raw.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                ends.raw.recv(100)

    reading = threading.Timer(0.05, read)
    reading.start()
    channel.flush(10)
    assert channel.waiting == 0
    reading.join()


def test_a_flush_waits_no_longer_than_it_may(ends):
    channel = filled(ends)
    channel.flush(0.05)
    assert channel.waiting == 3


@pytest.mark.parametrize("gone", ["peer", "channel"])
def test_nobody_waits_for_who_is_gone(ends, gone):
    channel = filled(ends)
    ends.raw.close() if gone == "peer" else channel.close()
    channel.flush(10)
    assert channel.waiting == 0
