"""A producer and a consumer that write what they like where a lane's other end reads."""

import contextlib
import fcntl
import mmap
import os
import socket
import struct

from penstock.bridges import LaneSpec
from penstock.data import Kind, Message
from penstock.errors import LaneError
from penstock.executors.multiprocess.transport import DataPlane, Reactor, frames, socket_pair
from penstock.executors.multiprocess.transport.frames import FrameType

RECORDS_AT, PREFIX_BYTES, RECORD_BYTES = 4096, 8, 65_536
RING_BYTES = RECORDS_AT + RECORD_BYTES + 8 * 1024
GIVEN_BACK_AT = 192
SLAB_AT, OFFSET_AT = 56, 64
"""Where a record says in which slab and at which offset its payload lies."""


class Hostile:
    """A producer that writes what it likes into the ring that it shares."""

    def __init__(self, sock):
        self.sock = sock
        self.memfd = sealed_memfd(RING_BYTES)
        self.bell = os.eventfd(0, os.EFD_NONBLOCK)
        self.memory = mmap.mmap(self.memfd, RING_BYTES)
        socket.send_fds(sock, [frames.number_frame(FrameType.RING)], [self.memfd, self.bell])
        self.written = self.records = 0

    def write(self, record, *, says=None):
        start = RECORDS_AT + self.written % RECORD_BYTES
        struct.pack_into("<I", self.memory, start, len(record) if says is None else says)
        self.memory[start + PREFIX_BYTES : start + PREFIX_BYTES + len(record)] = record
        self.written += PREFIX_BYTES + -(-len(record) // 8) * 8
        self.records += 1
        self.count(self.written, self.records)

    def append(self, record):
        """Write a record where a producer would, behind the one before."""
        size = PREFIX_BYTES + -(-len(record) // 8) * 8
        left = RECORD_BYTES - self.written % RECORD_BYTES
        if left < size:
            struct.pack_into("<I", self.memory, RECORDS_AT + RECORD_BYTES - left, 0xFFFFFFFF)
            self.written += left
        self.write(record)

    def count(self, written_bytes, written):
        struct.pack_into("<QQ", self.memory, 0, written_bytes, written)
        os.eventfd_write(self.bell, 1)

    def close(self):
        self.sock.close()
        self.memory.close()
        os.close(self.memfd)
        os.close(self.bell)


def sealed_memfd(nbytes):
    fd = os.memfd_create("sealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, nbytes)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def receiver_of_raw(pair, **options):
    spec = LaneSpec(9, "a", "b", frozenset(Kind), **options)
    ours, theirs = socket_pair()
    pair.raws = [*getattr(pair, "raws", []), ours]
    receiver = pair.target.receiver(spec, theirs)
    pair.ends.append(receiver)
    return ours, receiver


def read_record(pair, record, **options):
    """The first error of a receiver that finds this in its ring, or None."""
    raw, receiver = receiver_of_raw(pair)
    with contextlib.closing(Hostile(raw)) as producer:
        producer.write(record, **options)
        return take_all(pair, receiver)


def take_all(pair, receiver):
    """The first error of a receiver that is made to read what was sent, or None."""
    pair.settle()
    try:
        while receiver.take() is not None:
            pass
    except LaneError as exc:
        return exc
    return pair.broken[0] if pair.broken else None


def record_of(value):
    """What a lane writes of a value into its ring."""
    ours, theirs = socket_pair()
    plane = DataPlane(Reactor(), 1, 1 << 20, 1 << 20, print)
    sender = plane.sender(LaneSpec(1, "a", "b", frozenset(Kind), verify=True), ours)
    with theirs:
        _, descriptors, _, _ = socket.recv_fds(theirs, 100, 2)
        sender.offer(Message(value))
        memory = mmap.mmap(descriptors[0], RING_BYTES)
        (nbytes,) = struct.unpack_from("<I", memory, RECORDS_AT)
        start = RECORDS_AT + PREFIX_BYTES
        record = memory[start : start + nbytes]
        memory.close()
    for fd in descriptors:
        os.close(fd)
    sender.close()
    plane.close()
    plane.reactor.close()
    return record


class HostileConsumer:
    """A consumer that says what it likes about how far it is."""

    def __init__(self, pair, **options):
        spec = LaneSpec(9, "a", "b", frozenset(Kind), **options)
        ours, self.sock = socket_pair()
        self.sender = pair.source.sender(spec, ours)
        pair.ends.append(self.sender)
        _, descriptors, _, _ = socket.recv_fds(self.sock, 100, 2)
        self.memory = mmap.mmap(descriptors[0], RING_BYTES)
        for fd in descriptors:
            os.close(fd)

    def count(self, taken_bytes, taken):
        struct.pack_into("<QQ", self.memory, 64, taken_bytes, taken)

    def give_back(self, number, *tokens):
        struct.pack_into("<Q", self.memory, GIVEN_BACK_AT, number)
        struct.pack_into(f"<{len(tokens)}Q", self.memory, RECORDS_AT + RECORD_BYTES, *tokens)

    def say(self, kind):
        self.sock.send(frames.number_frame(kind))

    def close(self):
        self.sock.close()
        self.memory.close()
