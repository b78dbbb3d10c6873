"""Node processes without a session: a supervisor that is told to start them, as a session would."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter_ns
from typing import Self

from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import decoder, encoded
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.transport import socket_pair
from penstock.nodes.builtin.echo import Echo

_INIT_TIMEOUT_S = 60.0
_ASK_S = 1.0
_FRAME_BYTES = 128 << 10
_MESSAGE_BYTES = 16 << 20
_said = decoder(messages.FromSupervisor)


class SupervisorRig:
    """A supervisor that is there, and the processes that it has started.

    ``forebears`` are those that they were forked from, once there is one.
    """

    def __init__(self) -> None:
        self._sock, theirs = socket_pair()
        with theirs:
            LAUNCHER.supervise(theirs)
        self._sock.send(encoded(messages.Spawn("nobody", _INIT_TIMEOUT_S, None, None)))
        assert isinstance(self._hear(), messages.NotSpawned)  # for want of a descriptor
        self._controls: list[socket.socket] = []
        self.pids: list[int] = []
        self.forebears: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.send(encoded(messages.Stop(_ASK_S)))
        while not isinstance(self._hear(), messages.Stopped):
            pass
        self._sock.close()
        for control in self._controls:
            control.close()

    def start(self, count: int, python: str | None = None) -> float:
        """The time until so many processes, asked for at once, have answered, in ms."""
        started = perf_counter_ns()
        waiting = select.poll()
        for _ in range(count):
            waiting.register(self._spawn(python), select.POLLIN)
        for _ in range(count):
            for descriptor, _events in waiting.poll()[:1]:
                waiting.unregister(descriptor)
        took_ms = (perf_counter_ns() - started) / 1e6
        while len(self.pids) < len(self._controls):
            said = self._hear()
            if isinstance(said, messages.Spawned):
                self.pids.append(said.pid)
                self.forebears = [LAUNCHER.pid or 0, said.supervisor]
        return took_ms

    def _spawn(self, python: str | None) -> socket.socket:
        name = f"node-{len(self._controls)}"
        ours, theirs = socket_pair()
        self._controls.append(ours)
        ours.send(encoded(_configuration(name)))
        with theirs:
            order = messages.Spawn(name, _INIT_TIMEOUT_S, None, python)
            socket.send_fds(self._sock, [encoded(order)], [theirs.fileno()])
        return ours

    def _hear(self) -> messages.FromSupervisor:
        said: messages.FromSupervisor = _said.decode(self._sock.recv(_FRAME_BYTES)[1:])
        return said


def _configuration(name: str) -> messages.Prepare:
    return messages.Prepare(
        session_id="bench",
        node_id=name,
        provider=f"{Echo.__module__}:{Echo.__qualname__}",
        params={},
        sys_path=list(sys.path),
        whole_path=True,
    )


_BARE_ZYGOTE = """
import gc, os, socket, sys
import penstock.executors.multiprocess.child
sock = socket.socket(fileno=int(sys.argv[1]))
gc.collect()
gc.freeze()
while count := sock.recv(1):
    for _ in range(count[0]):
        if os.fork() == 0:
            sock.send(b"x")
            os._exit(0)
    for _ in range(count[0]):
        os.wait()
"""


@contextmanager
def bare_zygote() -> Iterator[socket.socket]:
    """A process with the same imports that forks as often as it is told, and nothing else."""
    ours, theirs = socket_pair()
    with ours, ExitStack() as stack:
        with theirs:
            command = [sys.executable, "-c", _BARE_ZYGOTE, str(theirs.fileno())]
            stack.enter_context(subprocess.Popen(command, pass_fds=[theirs.fileno()]))
        fork(ours, 1)
        yield ours
        ours.shutdown(socket.SHUT_RDWR)


def fork(zygote: socket.socket, count: int) -> float:
    """The time until so many forks of it have answered, in ms."""
    started = perf_counter_ns()
    zygote.send(bytes([count]))
    for _ in range(count):
        zygote.recv(1)
    return (perf_counter_ns() - started) / 1e6


def start_each(count: int, repeats: int, python: str | None = None) -> Sequence[float]:
    """The same of ``SupervisorRig.start``, each time of a supervisor of its own."""
    samples = []
    for _ in range(repeats):
        with SupervisorRig() as rig:
            samples.append(rig.start(count, python))
    return samples
