"""This program's zygote: started at first use, shared by all sessions, replaced when dead."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.executors.multiprocess import kernel, messages
from penstock.executors.multiprocess.channel import encoded
from penstock.executors.multiprocess.interpreter import (
    module_arguments,
    single_threaded_environment,
)
from penstock.executors.multiprocess.leftovers import PROGRAM, this_program
from penstock.executors.multiprocess.transport import socket_pair

_ZYGOTE = "penstock.executors.multiprocess.zygote"
_END_S = 6.0
START_S = 10.0
"""How much longer the first word of a zygote may take, which has to be loaded first."""
_WORDS = 1000
"""Of so many supervisors is known when they spoke: more are not forked in a few seconds."""


@dataclass(frozen=True, slots=True)
class _Order:
    """One that a zygote has no room for yet; the descriptors are its own."""

    frame: bytes
    socks: Sequence[socket.socket]

    def close(self) -> None:
        for sock in self.socks:
            sock.close()


class Launcher:
    """Has supervisors forked for this program's sessions; any thread may call it.

    Orders are numbered from 1. A zygote carries them out one after the other, so that a supervisor
    that speaks shows that all ordered before it were forked, or can't be; a long queue is no sign
    of a stuck one.

    What is forked may have as many descriptors as this program had when it first had a zygote: it
    may allow itself more since. ``started`` counts the zygotes that there have been.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._owner = 0
        self._files: int | None = None
        self.started = 0
        self._waiting: deque[_Order] = deque()
        self._given = 0
        self._answered = 0
        self._answered_at = 0.0
        self._words: deque[tuple[int, float]] = deque(maxlen=_WORDS)
        self._lost = 0

    def warm_up(self) -> None:
        """Start the zygote now, so that no session waits for its imports."""
        with self._lock:
            self._connected()

    def supervise(self, *socks: socket.socket, host: str | None = None) -> int:
        """Fork a supervisor that serves the other end of a socket, which stays the caller's.

        With ``host``, the module that hosts of sessions are made of, it starts one, and a second
        socket leads to that. Gives the number of the order.
        """
        frame = encoded(messages.Supervise(host))
        with self._lock:
            self._connected()  # a fork has no orders of its own yet
            self._send_waiting()
            if self._waiting or not self._send(frame, socks):
                self._waiting.append(_Order(frame, [sock.dup() for sock in socks]))
            return self._given + len(self._waiting)

    def answered(self, number: int) -> None:
        """The supervisor of this order has spoken."""
        with self._lock:
            if number > max(self._lost, self._answered):  # else it says nothing of this zygote
                self._answered, self._answered_at = number, time.monotonic()
                self._words.append((number, self._answered_at))
            self._send_waiting()

    def patience_s(self, number: int, limit_s: float) -> float:
        """How much longer to wait for the supervisor of this order; 0: it won't speak.

        One that was forked has ``limit_s`` seconds from when that was seen. Where none has spoken
        for so long the zygote is stuck, and is replaced: what was ordered of it is lost.
        """
        with self._lock:
            if number <= self._lost:
                return 0.0
            left_s = self._forked_by(number) + limit_s - time.monotonic()
            if left_s > 0 or number <= self._answered:
                return max(left_s, 0.0)
            self._drop()
            self._send_waiting()
            return 0.0 if number <= self._lost else limit_s

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
            if self._owner != os.getpid():
                self._forget_waiting()
            if self._files is None:
                self._files = kernel.soft_files()
            self._sock, self._process = _start(self._files)
            self.started += 1
            self._owner = os.getpid()
            self._answered_at = time.monotonic() + START_S
        return self._sock

    def _forked_by(self, number: int) -> float:
        """When one spoke that was ordered no sooner; where none has, when the last one did."""
        return next((at for word, at in self._words if word >= number), self._answered_at)

    def _send_waiting(self) -> None:
        """Those that there is room for; what the system has no more of, it may have later."""
        with contextlib.suppress(OSError):
            while self._waiting and self._send(self._waiting[0].frame, self._waiting[0].socks):
                self._waiting.popleft().close()

    def _send(self, frame: bytes, socks: Sequence[socket.socket]) -> bool:
        """Give an order to the zygote, or to another if it is dead; whether there was room."""
        descriptors = [sock.fileno() for sock in socks]
        try:
            socket.send_fds(self._connected(), [frame], descriptors)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            self._drop()
            socket.send_fds(self._connected(), [frame], descriptors)
        self._given += 1
        return True

    def _forget_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft().close()

    def _end(self) -> None:
        if self._sock is not None and self._process is not None and self._owner == os.getpid():
            self._sock.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            self._drop()
        self._forget_waiting()
        self._sock = self._process = self._files = None

    def _drop(self) -> None:
        """Have no zygote: it was killed, or doesn't do its work. Its supervisors go on."""
        if self._sock is not None and self._process is not None and self._owner == os.getpid():
            self._sock.close()
            self._process.kill()
            self._process.wait()
        self._sock = self._process = None
        self._lost = self._given


def _start(files: int) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket_pair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, *module_arguments(_ZYGOTE), str(theirs.fileno()), str(files)],
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
