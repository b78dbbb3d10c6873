"""The floor: what a hop costs without Penstock, over the same kind of slab and socket.

A sealed memfd, its slots reused last in, first out; a blocking ``SOCK_SEQPACKET`` socket that
carries a slot's number one way and the numbers of free slots the other. Nothing is checked,
typed, counted, or ready for anything to go wrong.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from numpy.typing import NDArray

from bench.hops.rig import window

_SLOT = struct.Struct("<H")
FRAME_BYTES = 512
_LARGE_BYTES = 64 << 10
_MADV_POPULATE_WRITE = 23  # <linux/mman.h>, not in Python's mmap
_F_SEAL_FUTURE_WRITE = 0x0010  # <linux/fcntl.h>, not in Python's fcntl before 3.13
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _F_SEAL_FUTURE_WRITE


class Bare:
    """Two sockets that are connected; who sends brings the slab."""

    def __init__(self, nbytes: int, out: socket.socket, into: socket.socket) -> None:
        self._nbytes = nbytes
        self._out = out
        self._into = into

    @contextmanager
    def sender(self) -> Iterator[BareSender]:
        with self._out:
            yield BareSender(self._out, self._nbytes)

    @contextmanager
    def receiver(self) -> Iterator[BareReceiver]:
        with self._into:
            yield BareReceiver(self._into, self._nbytes)


@contextmanager
def bare(nbytes: int) -> Iterator[Bare]:
    out, into = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with out, into:
        yield Bare(nbytes, out, into)


class BareSender:
    """Owns the slab; sends payloads as long as slots are free.

    Slots that come back are looked for where there is none left. Large ones, after each payload:
    the last slot to come back is the one that still lies in the caches.
    """

    def __init__(self, sock: socket.socket, nbytes: int) -> None:
        self._sock = sock
        self._slot = 0
        self._is_large = nbytes >= _LARGE_BYTES
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

    def memory(self, _nbytes: int) -> NDArray[np.uint8]:
        if not self._free:
            self._free.frombytes(_received(self._sock))
        self._slot = self._free.pop()
        return self._slots[self._slot]

    def send(self, _payload: NDArray[np.uint8]) -> None:
        self._sock.send(_SLOT.pack(self._slot))
        if self._is_large:
            with suppress(BlockingIOError):
                self._free.frombytes(self._sock.recv(FRAME_BYTES, socket.MSG_DONTWAIT))


class BareReceiver:
    """Maps the slab; gives slots back a quarter of the window at a time, large ones at once."""

    def __init__(self, sock: socket.socket, nbytes: int) -> None:
        self._sock = sock
        self._nbytes = nbytes
        self._stride = _stride(nbytes)
        self._batch = 1 if nbytes >= _LARGE_BYTES else window(nbytes) // 4
        self._used = array("H")
        _, fds, _, _ = socket.recv_fds(sock, FRAME_BYTES, 1)
        if not fds:
            raise EOFError("the source is gone")
        self._memory = mmap.mmap(fds[0], os.fstat(fds[0]).st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fds[0])

    def receive(self) -> NDArray[np.uint8]:
        if len(self._used) >= self._batch:
            self._sock.send(self._used.tobytes())
            del self._used[:]
        (slot,) = _SLOT.unpack(_received(self._sock))
        self._used.append(slot)
        return np.frombuffer(self._memory, np.uint8, self._nbytes, slot * self._stride)


def _received(sock: socket.socket) -> bytes:
    """The next datagram; raises ``EOFError`` where nobody can send one any more."""
    data = sock.recv(FRAME_BYTES)
    if not data:
        raise EOFError("the other end is gone")
    return data


def _stride(nbytes: int) -> int:
    return -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
