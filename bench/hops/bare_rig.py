"""Sets the floor up: its two ends in this process, or each in a bare Python process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.hops.bare import (
    BareSource,
    BareTarget,
    lane,
    received,
    serve_source,
    serve_target,
    until_the_other_ends,
)
from bench.hops.payload import Arrival
from bench.hops.rig import Place, SourceEnd, SplitRig, TargetEnd

_SERVE = {"source": serve_source, "target": serve_target}
_ROOT = __file__.removesuffix("/bench/hops/bare_rig.py")
EXIT_S = 10.0


@contextmanager
def bare_rig(source: Place, target: Place, nbytes: int) -> Iterator[SplitRig]:
    """A bare lane with at least one end in a process of its own."""
    with ExitStack() as stack:
        out, into = map(stack.enter_context, lane())
        sending = _source(stack, source, out, nbytes)
        yield SplitRig(sending, _target(stack, target, into, nbytes))


def _source(stack: ExitStack, place: Place, sock: socket.socket, nbytes: int) -> SourceEnd:
    if place == "native":
        return SourceEnd(os.getpid(), BareSource(sock, nbytes).run)
    pid, control = stack.enter_context(_process("source", sock, nbytes))
    return SourceEnd(pid, lambda order: control.sendall(order.pack()))


def _target(stack: ExitStack, place: Place, sock: socket.socket, nbytes: int) -> TargetEnd:
    if place == "native":
        return TargetEnd(os.getpid(), BareTarget(sock, nbytes).run)
    pid, control = stack.enter_context(_process("target", sock, nbytes))
    return TargetEnd(pid, lambda: Arrival.unpack(received(control)))


@contextmanager
def _process(role: str, sock: socket.socket, nbytes: int) -> Iterator[tuple[int, socket.socket]]:
    """An end in a process of its own, which takes ``sock`` along, and the way to it."""
    ours, theirs = lane()
    with sock, theirs:
        fds = (sock.fileno(), theirs.fileno())
        command = [sys.executable, "-m", __name__, role, *map(str, fds), str(nbytes)]
        process = subprocess.Popen(command, pass_fds=fds, cwd=_ROOT)
    with process, ours:
        try:
            yield process.pid, ours
        finally:
            process.kill()


def main(role: str, lane_fd: str, control_fd: str, nbytes: str) -> None:
    """An end's process; it is killed when it isn't needed any more."""
    sock, control = (socket.socket(fileno=int(fd)) for fd in (lane_fd, control_fd))
    with sock, control, until_the_other_ends():
        _SERVE[role](sock, control, int(nbytes))


if __name__ == "__main__":
    main(*sys.argv[1:])
