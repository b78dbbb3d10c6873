"""The bare ping-pong: two processes over the floor's slabs and sockets, and nobody else.

Each side writes a payload of its own, sends it, and waits for the other's. A sample is one
hop, from the stamp before the payload is written until the other side has it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.hops.bare import (
    FRAME_BYTES,
    BareSource,
    BareTarget,
    lane,
    received,
    until_the_other_ends,
)
from bench.hops.payload import Order

_ROOT = __file__.removesuffix("/bench/hops/ping_pong.py")
_MOST = FRAME_BYTES // 8


class PingPong:
    """Both processes, ready; ``hops`` has them play."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    async def hops(self, nbytes: int, count: int) -> Sequence[float]:
        """The times of ``count`` hops in µs, measured without a pause between them."""
        return await asyncio.to_thread(self._hops, nbytes, count)

    def _hops(self, nbytes: int, count: int) -> list[float]:
        self._control.send(Order(count, nbytes).pack())
        samples: list[float] = []
        while len(samples) < count:
            data = received(self._control)
            samples += [took / 1000 for took in struct.unpack(f"<{len(data) // 8}q", data)]
        return samples


@contextmanager
def ping_pong(nbytes: int) -> Iterator[PingPong]:
    """The two processes; they end with the block."""
    there, back, (ours, theirs) = lane(), lane(), lane()
    sides = {"ping": (there[0], back[1], theirs), "pong": (back[0], there[1])}
    processes = []
    for role, socks in sides.items():
        fds = [sock.fileno() for sock in socks]
        command = [sys.executable, "-m", __name__, role, str(nbytes), *map(str, fds)]
        processes.append(subprocess.Popen(command, pass_fds=fds, cwd=_ROOT))
    for sock in (*there, *back, theirs):
        sock.close()
    with ours:
        try:
            yield PingPong(ours)
        finally:
            for process in processes:
                process.kill()
                process.wait()


def main(role: str, nbytes: str, *fds: str) -> None:
    """A side's process; it is killed when it isn't needed any more, or ends with the other."""
    with until_the_other_ends():
        _play(role, int(nbytes), *(socket.socket(fileno=int(fd)) for fd in fds))


def _play(
    role: str, nbytes: int, out: socket.socket, into: socket.socket, *control: socket.socket
) -> None:
    source, target, one = BareSource(out, nbytes), BareTarget(into, nbytes), Order(1, nbytes)
    if role == "pong":
        while True:
            target.run()
            source.run(one)
    (orders,) = control
    while True:
        left = Order.unpack(received(orders)).count
        while left:
            batch = []
            for _ in range(min(left, _MOST)):
                source.run(one)
                batch.append(target.run().took_ns)
            left -= len(batch)
            orders.send(struct.pack(f"<{len(batch)}q", *batch))


if __name__ == "__main__":
    main(*sys.argv[1:])
