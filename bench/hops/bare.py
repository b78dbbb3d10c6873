"""The floor: what a hop costs without Penstock, over the same kind of slab and socket.

A sealed memfd, its slots reused last in, first out; a blocking ``SOCK_SEQPACKET`` socket that
carries a slot's number one way and the numbers of free slots the other. Nothing is checked,
typed, counted, or ready for anything to go wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import struct
from array import array
from time import perf_counter_ns

import numpy as np

from bench.hops.payload import Arrival, Order, Pattern, Tally
from bench.hops.rig import window

_SLOT = struct.Struct("<H")
FRAME_BYTES = 512
_MADV_POPULATE_WRITE = 23  # <linux/mman.h>, not in Python's mmap
_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>, not in Python's fcntl before 3.13
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _F_SEAL_FUTURE_WRITE


def lane() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def received(sock: socket.socket) -> bytes:
    """The next datagram; raises ``EOFError`` where nobody can send one any more."""
    data = sock.recv(FRAME_BYTES)
    if not data:
        raise EOFError("the other end is gone")
    return data


def until_the_other_ends() -> contextlib.AbstractContextManager[None]:
    """Around what an end's process does: ends are killed one after the other, in any order."""
    return contextlib.suppress(EOFError, ConnectionError)


class BareSource:
    """Owns the slab; sends payloads as long as slots are free."""

    def __init__(self, sock: socket.socket, nbytes: int) -> None:
        self._sock = sock
        self._pattern = Pattern(nbytes)
        stride, slots = _stride(nbytes), window(nbytes)
        fd = os.memfd_create("bench", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, stride * slots)
        memory = mmap.mmap(fd, stride * slots)
        memory.madvise(_MADV_POPULATE_WRITE)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        socket.send_fds(sock, [b"slab"], [fd])
        os.close(fd)
        self._slots = [np.frombuffer(memory, np.uint8, nbytes, i * stride) for i in range(slots)]
        self._free = array("H", range(slots))

    def run(self, order: Order) -> None:
        for remaining in reversed(range(order.count)):
            started_ns = perf_counter_ns()
            slot = self._free_slot()
            self._pattern.write(self._slots[slot], started_ns, remaining)
            self._sock.send(_SLOT.pack(slot))

    def _free_slot(self) -> int:
        if not self._free:
            self._free.frombytes(received(self._sock))
        return self._free.pop()


class BareTarget:
    """Maps the slab; gives slots back a quarter of the window at a time."""

    def __init__(self, sock: socket.socket, nbytes: int) -> None:
        self._sock = sock
        self._nbytes = nbytes
        self._stride = _stride(nbytes)
        self._batch = max(window(nbytes) // 4, 1)
        self._used = array("H")
        self._tally = Tally()
        _, fds, _, _ = socket.recv_fds(sock, FRAME_BYTES, 1)
        if not fds:
            raise EOFError("the source is gone")
        self._memory = mmap.mmap(fds[0], os.fstat(fds[0]).st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fds[0])

    def run(self) -> Arrival:
        """Take payloads until an order is complete."""
        while True:
            (slot,) = _SLOT.unpack(received(self._sock))
            payload = np.frombuffer(self._memory, np.uint8, self._nbytes, slot * self._stride)
            arrival = self._tally.note(payload)
            self._give_back(slot)
            if arrival is not None:
                return arrival

    def _give_back(self, slot: int) -> None:
        self._used.append(slot)
        if len(self._used) >= self._batch:
            self._sock.send(self._used.tobytes())
            del self._used[:]


def serve_source(sock: socket.socket, control: socket.socket, nbytes: int) -> None:
    """A source in a process of its own, for as long as it lives."""
    source = BareSource(sock, nbytes)
    while True:
        source.run(Order.unpack(received(control)))


def serve_target(sock: socket.socket, control: socket.socket, nbytes: int) -> None:
    """A target in a process of its own, for as long as it lives."""
    target = BareTarget(sock, nbytes)
    while True:
        control.send(target.run().pack())


def _stride(nbytes: int) -> int:
    return -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
