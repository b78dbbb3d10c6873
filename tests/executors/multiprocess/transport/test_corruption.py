"""Whatever arrives on a lane is a message or a ``LaneError``: never a crash, never silence."""

import fcntl
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
from penstock.executors.multiprocess.transport import DataPlane, Reactor, frames, socket_pair
from penstock.executors.multiprocess.transport.frames import FrameType, Tally

SLAB_AT, OFFSET_AT = 48, 56
"""Where a frame says in which slab and at which offset its payload lies."""


def sealed_memfd(nbytes):
    fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, nbytes)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def receiver_of_raw(pair):
    spec = LaneSpec(9, "a", "b", frozenset(Kind))
    ours, theirs = socket_pair()
    pair.raws = [*getattr(pair, "raws", []), ours]
    receiver = pair.target.receiver(spec, theirs)
    pair.ends.append(receiver)
    return ours, receiver


def take_all(pair, receiver):
    """The first error of a receiver that is made to read what was sent, or None."""
    pair.settle()
    try:
        while receiver.take() is not None:
            pass
    except LaneError as exc:
        return exc
    return pair.broken[0] if pair.broken else None


def frame_of(value):
    """The datagram that a lane makes of a value."""
    ours, theirs = socket_pair()
    plane = DataPlane(Reactor(), 1, 1 << 20, 1 << 20, print)
    sender = plane.sender(LaneSpec(1, "a", "b", frozenset(Kind), verify=True), ours)
    with theirs:
        sender.offer(Message(value))
        frame = theirs.recv(8192)
        if frame[1] == FrameType.SLAB:
            frame = theirs.recv(8192)
    sender.close()
    plane.close()
    plane.reactor.close()
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"x", "version 1"),
        (b"\x02\x01", "version 1"),
        (b"\x01\x63", "unexpected frame of type 99"),
        (b"\x01\x01short", "an envelope has"),
        (frames.number_frame(FrameType.CREDIT, 1), "unexpected frame of type 5"),
        (frames.number_frame(FrameType.SLAB, 1), "unexpected frame of type 2"),
        (b"\x01\x04\xff", "an unreadable count"),
        (frame_of(Text("x")) + b"more", "announced"),
        (frame_of(Text("x")).replace(b"\x01\x01\x03", b"\x01\x01\x63", 1), "unknown kind of data"),
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


def test_a_payload_in_a_slab_that_nobody_announced(lanes):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(frame_of(Binary(np.zeros(5000, np.uint8))))
        error = take_all(pair, receiver)
    assert "never announced" in str(error)


@pytest.mark.parametrize("offset", [300_000, 1 << 40, 2**64 - 1])
def test_a_payload_outside_its_slab(lanes, offset):
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    frame = bytearray(frame_of(Binary(np.zeros(5000, np.uint8))))
    struct.pack_into("<Q", frame, OFFSET_AT, offset)
    fd = sealed_memfd(262_144)
    with raw:
        (slab_id,) = struct.unpack_from("<I", frame, SLAB_AT)
        socket.send_fds(raw, [frames.number_frame(FrameType.SLAB, slab_id)], [fd])
        raw.send(frame)
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
    frame = bytearray(frame_of(Text("hello")))
    frame[-1] ^= 1
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(bytes(frame))
        error = take_all(pair, receiver)
    assert "another checksum" in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    flips=st.lists(st.integers(0, 8 * 90 - 1), min_size=1, max_size=4),
    value=st.sampled_from([Text("hello"), Binary(np.zeros(300, np.uint8))]),
)
def test_flipped_bits_in_a_header_never_crash(lanes, flips, value):
    frame = bytearray(frame_of(value))
    for bit in flips:
        frame[bit // 8 % len(frame)] ^= 1 << bit % 8
    pair = lanes()
    raw, receiver = receiver_of_raw(pair)
    with raw:
        raw.send(bytes(frame))
        take_all(pair, receiver)
    pair.settle()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(frame=st.binary(min_size=1, max_size=200))
def test_any_bytes_are_a_message_or_an_error(lanes, frame):
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
