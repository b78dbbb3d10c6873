"""This program's zygote: started at first use, shared by all sessions, replaced when dead."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading

from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import encoded
from penstock.executors.multiprocess.interpreter import (
    module_arguments,
    single_threaded_environment,
)
from penstock.executors.multiprocess.leftovers import PROGRAM, this_program
from penstock.executors.multiprocess.transport import socket_pair

_ZYGOTE = "penstock.executors.multiprocess.zygote"
_END_S = 6.0


class Launcher:
    """Has supervisors forked for this program's sessions; any thread may call it.

    ``started`` counts the zygotes that there have been.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._owner = 0
        self.started = 0

    def warm_up(self) -> None:
        """Start the zygote now, so that no session waits for its imports."""
        with self._lock:
            self._connected()

    def supervise(self, *socks: socket.socket, host: str | None = None) -> None:
        """Fork a supervisor that serves the other end of a socket, which stays the caller's.

        With ``host``, the module that hosts of sessions are made of, it starts one, and a second
        socket leads to that.
        """
        frame = encoded(messages.Supervise(host))
        descriptors = [sock.fileno() for sock in socks]
        with self._lock:
            try:
                socket.send_fds(self._connected(), [frame], descriptors)
            except (BrokenPipeError, ConnectionResetError, BlockingIOError):
                self._drop()
                socket.send_fds(self._connected(), [frame], descriptors)

    def replace(self) -> None:
        """Have another zygote from now on: this one doesn't do its work."""
        with self._lock:
            self._drop()

    def close(self) -> None:
        """End the zygote once its last session has ended; the next session starts another."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """The zygote's process, where there is one."""
        return self._process.pid if self._process else None

    def _connected(self) -> socket.socket:
        if self._sock is None or self._owner != os.getpid():  # a fork has none of its own
            self._sock, self._process = _start()
            self.started += 1
            self._owner = os.getpid()
        return self._sock

    def _end(self) -> None:
        if self._sock is not None and self._process is not None and self._owner == os.getpid():
            self._sock.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            self._drop()
        self._sock = self._process = None

    def _drop(self) -> None:
        """Have no zygote: it was killed, or doesn't do its work. Its supervisors go on."""
        if self._sock is not None and self._process is not None and self._owner == os.getpid():
            self._sock.close()
            self._process.kill()
            self._process.wait()
        self._sock = self._process = None


def _start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket_pair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, *module_arguments(_ZYGOTE), str(theirs.fileno())],
            env={**single_threaded_environment(), PROGRAM: this_program()},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    ours.setblocking(False)
    return ours, process


LAUNCHER = Launcher()
atexit.register(LAUNCHER.close)
