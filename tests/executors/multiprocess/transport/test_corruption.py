"""Whatever arrives on a lane is a message or a ``LaneError``: never a crash, never silence."""

import contextlib
import os
import socket
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.bridges import LaneSpec
from penstock.data import Binary, Kind, Message, Text
from penstock.errors import ConservationError, LaneClosedError, LaneError
from penstock.executors.multiprocess.transport import frames, socket_pair
from penstock.executors.multiprocess.transport.frames import FrameType, Tally
from tests.executors.multiprocess.transport.hostile import (
    OFFSET_AT,
    RING_BYTES,
    SLAB_AT,
    Hostile,
    HostileConsumer,
    read_record,
    receiver_of_raw,
    record_of,
    sealed_memfd,
    take_all,
)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"x", "version 1"),
        (b"\x02\x01", "version 1"),
        (b"\x01\x63", "unexpected frame of type 99"),
        (frames.number_frame(FrameType.RING), "unexpected frame of type 1"),
        (frames.number_frame(FrameType.CREDIT, 1), "unexpected frame of type 5"),
        (frames.number_frame(FrameType.SLAB, 1), "unexpected frame of type 2"),
        (b"\x01\x04\xff", "an unreadable count"),
    ],
)
def test_rubbish_is_refused_with_the_lanes_name(lanes, frame, message):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(frame)
        error = take_all(pair, receiver)
    assert isinstance(error, LaneError)
    assert message in str(error)
    assert error.lane == "a → b"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"short", "an envelope has"),
        (record_of(Text("x")) + b"more", "announced"),
        (b"\x63" + record_of(Text("x"))[1:], "unknown kind of data"),
        (record_of(Binary(np.zeros(5000, np.uint8))), "never announced"),
    ],
    ids=["short", "more", "kind", "slab"],  # records have times in them
)
def test_a_record_that_is_none_is_refused_with_the_lanes_name(lanes, record, message):
    error = read_record(lanes(), record)
    assert isinstance(error, LaneError)
    assert message in str(error)
    assert error.lane == "a → b"


@pytest.mark.parametrize("says", [0, 65_536, 2**32 - 2, 2**32 - 1])
def test_a_record_longer_than_what_was_written(lanes, says):
    assert isinstance(read_record(lanes(), record_of(Text("x")), says=says), LaneError)


@pytest.mark.parametrize("written", [7, 65_537, 2**40, 2**64 - 1])
def test_a_ring_that_says_it_holds_more_than_it_can(lanes, written):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with contextlib.closing(Hostile(raw)) as producer:
        producer.write(record_of(Text("x")))
        producer.count(written, written)
        assert isinstance(take_all(pair, receiver), LaneError)


def test_a_consumer_that_says_it_took_more_than_was_sent(lanes):
    pair = lanes()
    with contextlib.closing(HostileConsumer(pair, capacity=2)) as consumer:
        consumer.count(0, 3)
        assert [consumer.sender.offer(Message(Text("x"))) for _ in range(3)] == [True, True, False]
    assert "3 messages are said to be taken" in str(pair.broken[0])


@pytest.mark.parametrize("size", [4096, RING_BYTES - 1])
def test_a_ring_that_is_too_small_is_refused(lanes, size):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    memfd, bell = sealed_memfd(size), os.eventfd(0)
    with raw:
        socket.send_fds(raw, [frames.number_frame(FrameType.RING)], [memfd, bell])
        error = take_all(pair, receiver)
    os.close(memfd)
    os.close(bell)
    assert f"got {size}" in str(error)


@pytest.mark.parametrize("offset", [300_000, 1 << 40, 2**64 - 1])
def test_a_payload_outside_its_slab(lanes, offset):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    record = bytearray(record_of(Binary(np.zeros(5000, np.uint8))))
    struct.pack_into("<Q", record, OFFSET_AT, offset)
    (slab_id,) = struct.unpack_from("<I", record, SLAB_AT)
    fd = sealed_memfd(262_144)
    with contextlib.closing(Hostile(raw)) as producer:
        socket.send_fds(raw, [frames.number_frame(FrameType.SLAB, slab_id)], [fd])
        producer.write(record)
        error = take_all(pair, receiver)
    os.close(fd)
    assert "outside a slab of 262144" in str(error)


def test_a_slab_that_its_owner_could_truncate_is_refused(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    fd = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    with raw:
        socket.send_fds(raw, [frames.number_frame(FrameType.SLAB, 77)], [fd])
        error = take_all(pair, receiver)
    os.close(fd)
    assert "unsealed" in str(error)


def test_a_flipped_bit_in_a_payload_is_found_when_checked(lanes):
    record = bytearray(record_of(Text("hello")))
    record[-1] ^= 1
    error = read_record(lanes(), record)
    assert "another checksum" in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    flips=st.lists(st.integers(0, 8 * 90 - 1), min_size=1, max_size=4),
    value=st.sampled_from([Text("hello"), Binary(np.zeros(300, np.uint8))]),
)
def test_flipped_bits_in_a_header_never_crash(lanes, flips, value):
    record = bytearray(record_of(value))
    for bit in flips:
        record[bit // 8 % len(record)] ^= 1 << bit % 8
    pair = lanes()
    read_record(pair, record)
    pair.settle()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(record=st.binary(max_size=200))
def test_any_record_is_a_message_or_an_error(lanes, record):
    pair = lanes()
    read_record(pair, record)
    pair.settle()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(frame=st.binary(min_size=1, max_size=200))
def test_any_frame_is_understood_or_an_error(lanes, frame):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(frame)
        take_all(pair, receiver)
    pair.settle()


def test_a_lost_message_is_noticed(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(frames.tally_frame(FrameType.END, Tally(3, {"no credit": 1})))
        error = take_all(pair, receiver)
    assert isinstance(error, ConservationError)
    assert (error.sent, error.received, error.dropped) == (3, 0, 1)


def test_a_consumer_that_miscounts_is_noticed(lanes):
    pair = lanes()
    ours, theirs = socket_pair()
    sender = pair.source.sender(LaneSpec(9, "a", "b", frozenset(Kind)), ours)
    pair.ends.append(sender)
    with theirs:
        sender.offer(Message(Text("x")))
        sender.end()
        theirs.send(frames.tally_frame(FrameType.FINAL, Tally(0, {})))
        pair.settle()
    assert isinstance(pair.broken[0], ConservationError)


def test_a_producer_that_is_gone_before_the_end(lanes):
    pair = lanes()
    pair.sender.offer(Message(Text("last words")))
    pair.sender.close()
    assert [m.value for m in pair.drain()] == [Text("last words")]
    assert isinstance(pair.broken[0], LaneClosedError)


def test_a_consumer_that_is_gone_before_the_end(lanes):
    pair = lanes()
    pair.receiver.close()
    pair.settle()
    assert isinstance(pair.broken[0], LaneClosedError)
    assert not pair.sender.offer(Message(Text("x")))
