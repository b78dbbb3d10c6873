"""What one side writes never crashes, hangs or bloats the other: it goes on, or says LaneError."""

import contextlib
import fcntl
import os
import socket
import struct

import numpy as np
import pytest

from penstock.data import Binary, Message, Text
from penstock.errors import LaneError
from penstock.executors.multiprocess.transport import frames
from penstock.executors.multiprocess.transport.frames import FrameType, Tally
from tests.executors.multiprocess.transport.hostile import (
    RECORD_BYTES,
    RING_BYTES,
    SLAB_AT,
    Hostile,
    HostileConsumer,
    receiver_of_raw,
    record_of,
    sealed_memfd,
    take_all,
)

WAKE_AT_AT, PRODUCER_WAITS_AT, PRODUCER_STARVES_AT, SEQUENCE_AT = 16, 132, 136, 16


def slab_frame(slab_id):
    return frames.number_frame(FrameType.SLAB, slab_id)


def numbered(record, number):
    """The record as the lane's message of this number."""
    record = bytearray(record)
    struct.pack_into("<Q", record, SEQUENCE_AT, number)
    return record


def a_pipe():
    read, write = os.pipe()
    os.close(write)
    return read


def a_regular_file():
    return os.open(__file__, os.O_RDONLY)


def nothing_sealed():
    return sealed_memfd(0)


def more_than_can_be_mapped():
    return sealed_memfd(1 << 62)


def read_only_for_everyone():
    fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, RING_BYTES)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


@pytest.mark.parametrize("make", [a_pipe, a_regular_file, nothing_sealed, more_than_can_be_mapped])
def test_a_slab_that_is_no_memory(lanes, make):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    fd = make()
    with raw:
        socket.send_fds(raw, [slab_frame(77)], [fd])
        os.close(fd)
        assert isinstance(take_all(pair, receiver), LaneError)
    assert pair.broken[0].lane == "a → b"


@pytest.mark.parametrize("make", [a_pipe, a_regular_file, read_only_for_everyone])
def test_a_ring_that_is_no_memory(lanes, make):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    fd, bell = make(), os.eventfd(0)
    with raw:
        socket.send_fds(raw, [frames.number_frame(FrameType.RING)], [fd, bell])
        os.close(fd)
        os.close(bell)
        assert isinstance(take_all(pair, receiver), LaneError)


def test_a_bell_that_nobody_can_wait_for(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    fd, bell = sealed_memfd(RING_BYTES), a_regular_file()
    with raw:
        socket.send_fds(raw, [frames.number_frame(FrameType.RING)], [fd, bell])
        os.close(fd)
        os.close(bell)
        assert isinstance(take_all(pair, receiver), LaneError)
        assert receiver.take() is None


def test_two_rings(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with contextlib.closing(Hostile(raw)) as producer:
        ring = frames.number_frame(FrameType.RING)
        socket.send_fds(raw, [ring], [producer.memfd, producer.bell])
        assert "unexpected frame of type 1" in str(take_all(pair, receiver))


@pytest.mark.parametrize("kind", [FrameType.SLAB, FrameType.RETIRE])
def test_a_number_that_is_no_slabs(lanes, kind):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    fd = sealed_memfd(4096)
    with raw:
        frame = struct.pack("<BBQ", frames.VERSION, kind, 1 << 40)
        socket.send_fds(raw, [frame], [fd] if kind is FrameType.SLAB else [])
        os.close(fd)
        assert isinstance(take_all(pair, receiver), LaneError)


def test_a_slab_that_was_never_announced_can_not_be_given_up(lanes):
    """Another lane may have announced it."""
    pair = lanes()
    pair.sender.offer(Message(Binary(np.zeros(5000, np.uint8))))
    (message,) = pair.drain()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(frames.number_frame(FrameType.RETIRE, pair.target.arena.borrowed[0]))
        assert "was never announced" in str(take_all(pair, receiver))
    assert len(pair.target.arena.borrowed) == 1
    assert not message.value.data.any()


def test_a_slab_by_the_number_of_another_lanes(lanes):
    pair = lanes()
    pair.sender.offer(Message(Binary(np.full(5000, 1, np.uint8))))
    assert len(pair.drain()) == 1
    raw, receiver = receiver_of_raw(pair)
    fd = sealed_memfd(1 << 18)
    with raw:
        socket.send_fds(raw, [slab_frame(pair.target.arena.borrowed[0])], [fd])
        os.close(fd)
        assert "there is another already" in str(take_all(pair, receiver))


def test_a_slab_that_is_announced_again_and_again(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    fd = sealed_memfd(4096)
    pair.settle()
    before = len(os.listdir("/proc/self/fd"))
    with raw:
        for _ in range(100):
            socket.send_fds(raw, [slab_frame(77)], [fd])
        pair.target.reactor.poll_batch()
        pair.target.reactor.poll_batch()
        assert "announced twice" in str(take_all(pair, receiver))
        assert len(os.listdir("/proc/self/fd")) == before + 1
    os.close(fd)


def test_slabs_without_end(lanes):
    """Each keeps a descriptor of the consumer's open: there is a limit before its own."""
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    fd = sealed_memfd(4096)
    number = 0
    with raw:
        while not pair.broken:
            socket.send_fds(raw, [slab_frame(number)], [fd])
            pair.target.reactor.poll(0)
            number += 1
    os.close(fd)
    assert "slabs" in str(pair.broken[0])
    assert take_all(pair, receiver) is pair.broken[0]


def test_records_without_bytes(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with contextlib.closing(Hostile(raw)) as producer:
        for _ in range(RECORD_BYTES // 8):
            producer.write(b"")
        assert "an envelope has" in str(take_all(pair, receiver))


def test_a_producer_that_goes_back(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with contextlib.closing(Hostile(raw)) as producer:
        producer.write(record_of(Text("x")))
        pair.settle()
        assert receiver.take().value == Text("x")
        producer.count(8, 0)
        assert isinstance(take_all(pair, receiver), LaneError)


@pytest.mark.parametrize("bytes_before_the_end", [0, 8, 16])
def test_a_marker_of_the_end_that_leads_nowhere(lanes, bytes_before_the_end):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with contextlib.closing(Hostile(raw)) as producer:
        start = 4096 + (RECORD_BYTES - bytes_before_the_end) % RECORD_BYTES
        struct.pack_into("<I", producer.memory, 4096, 0xFFFFFFFF)
        struct.pack_into("<I", producer.memory, start, 0xFFFFFFFF)
        producer.count(RECORD_BYTES, 1)
        assert isinstance(take_all(pair, receiver), LaneError)


@pytest.mark.parametrize("backpressure", [True, False])
def test_a_producer_that_asks_for_credit_and_never_reads_it(lanes, backpressure):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair, backpressure=backpressure)
    record = record_of(Text("x"))
    with contextlib.closing(Hostile(raw)) as producer:
        pair.settle()
        for number in range(2000):
            struct.pack_into("<Q", producer.memory, WAKE_AT_AT, 0)
            struct.pack_into("<I", producer.memory, PRODUCER_WAITS_AT, 1)
            producer.append(numbered(record, number))
            assert receiver.take().value == Text("x")
        assert receiver.waiting <= 1


def test_a_producer_that_starves_and_never_reads_that_it_need_not(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    record = bytearray(record_of(Binary(np.zeros(5000, np.uint8))))
    (slab_id,) = struct.unpack_from("<I", record, SLAB_AT)
    fd = sealed_memfd(1 << 18)
    with contextlib.closing(Hostile(raw)) as producer:
        socket.send_fds(raw, [slab_frame(slab_id)], [fd])
        pair.settle()
        for number in range(3000):
            struct.pack_into("<I", producer.memory, PRODUCER_STARVES_AT, 1)
            producer.append(numbered(record, number))
            assert receiver.take().value.data.size == 5000
            pair.target.reactor.poll(0)
        assert receiver.waiting <= 1
    os.close(fd)


def test_the_end_twice(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        for _ in range(2):
            raw.send(frames.tally_frame(FrameType.END, Tally(0, {})))
        assert "unexpected frame of type 4" in str(take_all(pair, receiver))


def test_a_message_after_the_end(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with contextlib.closing(Hostile(raw)) as producer:
        producer.append(record_of(Text("x")))
        raw.send(frames.tally_frame(FrameType.END, Tally(1, {})))
        pair.settle()
        assert receiver.take().value == Text("x")
        assert receiver.ended
        producer.append(numbered(record_of(Text("x")), 1))
        assert "after the end" in str(take_all(pair, receiver))


@pytest.mark.parametrize("tally", [Tally(-1, {}), Tally(0, {"x": -1}), Tally(1 << 63, {})])
def test_counts_that_can_not_be(lanes, tally):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(frames.tally_frame(FrameType.END, tally))
        assert isinstance(take_all(pair, receiver), LaneError)
        assert not receiver.ended


def test_a_consumer_that_ends_before_it_is_told_to(lanes):
    pair = lanes()
    with contextlib.closing(HostileConsumer(pair)) as consumer:
        assert consumer.sender.offer(Message(Text("x")))
        consumer.sock.send(frames.tally_frame(FrameType.FINAL, Tally(1, {})))
        pair.settle()
        assert "nobody asked" in str(pair.broken[0])
        assert not consumer.sender.finished


@pytest.mark.parametrize("number", [2, 1 << 40, 2**64 - 1])
def test_a_consumer_that_gives_more_back_than_was_lent(lanes, number):
    """Its count must not be followed for as long as it says."""
    pair = lanes()
    with contextlib.closing(HostileConsumer(pair)) as consumer:
        assert consumer.sender.offer(Message(Binary(np.zeros(5000, np.uint8))))
        consumer.give_back(number)
        consumer.say(FrameType.RELEASE)
        pair.settle()
        assert "more is said to be given back" in str(pair.broken[0])
        assert not consumer.sender.offer(Message(Binary(np.zeros(5000, np.uint8))))
    assert pair.sender.offer(Message(Binary(np.zeros(5000, np.uint8))))


@pytest.mark.parametrize("token", [7, 2**64 - 1])
def test_a_consumer_that_gives_back_what_was_never_lent(lanes, token):
    pair = lanes()
    with contextlib.closing(HostileConsumer(pair)) as consumer:
        assert consumer.sender.offer(Message(Binary(np.zeros(5000, np.uint8))))
        consumer.give_back(1, token)
        consumer.say(FrameType.RELEASE)
        pair.settle()
        assert consumer.sender.lent == 1
        assert consumer.sender.offer(Message(Text("x")))
    assert pair.broken == []


def fill(consumer):
    """Fill the ring with short messages, until one has to wait beside it."""
    while not consumer.sender.statistics().waiting:
        assert consumer.sender.offer(Message(Binary(np.zeros(1000, np.uint8))))
    return consumer.sender.statistics().sent - 1


def test_a_consumer_that_took_all_and_gives_no_room(lanes):
    """Its two counters contradict each other: that must not be waited for in a loop."""
    pair = lanes()
    with contextlib.closing(HostileConsumer(pair, capacity=1000)) as consumer:
        consumer.count(0, fill(consumer))
        consumer.say(FrameType.CREDIT)
        pair.settle()
        assert "yet its ring is full" in str(pair.broken[0])


@pytest.mark.parametrize(("taken_bytes", "taken"), [(2**40, 1), (2**64 - 8, 1), (0, 10_000)])
def test_a_consumer_whose_counters_can_not_be(lanes, taken_bytes, taken):
    pair = lanes()
    with contextlib.closing(HostileConsumer(pair, capacity=1000)) as consumer:
        fill(consumer)
        consumer.count(taken_bytes, taken)
        consumer.say(FrameType.CREDIT)
        pair.settle()
        assert "said to be taken" in str(pair.broken[0])


def test_a_consumer_that_goes_back(lanes):
    pair = lanes()
    with contextlib.closing(HostileConsumer(pair, capacity=2)) as consumer:
        for taken in (2, 0):
            consumer.count(0, taken)
            while consumer.sender.offer(Message(Text("x"))):
                pass
            consumer.say(FrameType.CREDIT)
            pair.settle()
        assert "0 messages are said to be taken, after 2" in str(pair.broken[0])


def test_a_consumer_that_gives_credit_all_the_time(lanes):
    pair = lanes()
    changes = []
    with contextlib.closing(HostileConsumer(pair, capacity=2)) as consumer:
        consumer.sender.on_change = lambda: changes.append(consumer.sender.offer(message))
        message = Message(Text("x"))
        for _ in range(200):
            consumer.say(FrameType.CREDIT)
            pair.source.reactor.poll(0)
        assert changes.count(True) == 2
    assert pair.broken == []
