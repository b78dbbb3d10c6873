"""The one supervisor of a session: starts its processes, hears them, ends them, reaps them.

Single-threaded; it never runs a node's code and never holds a lane. It is a subreaper, so
that what its processes leave behind falls to it. When the session's end of the channel is
gone, everything below it goes.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable

from penstock.executors.multiprocess import kernel, messages
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.child import Child
from penstock.executors.multiprocess.transport import Reactor

TERM_S = 1.0
"""How long a process may take to end after SIGTERM."""
KILL_S = 1.0
"""How long the kernel may take to end it after SIGKILL."""
_MAX_BACKLOG = 256


class Supervisor:
    """Serves one session over ``sock`` until that has been stopped or is gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._reactor = Reactor()
        self._channel: Channel[messages.ToSupervisor] = Channel(
            sock, self._reactor, messages.ToSupervisor, self._on_message, self._on_session_gone
        )
        self._children: dict[str, Child] = {}
        self._missed: Counter[str] = Counter()
        self._stop: messages.Stop | None = None
        self._session_gone = False

    def run(self) -> None:
        kernel.become_subreaper()
        self._watch_orphans()
        while self._stop is None:
            self._reactor.poll(self._next_deadline())
            self._enforce_deadlines()
        self._end_all(self._stop.ask_s)
        if not self._session_gone:
            self._channel.send(messages.Stopped())
            self._wait_until(lambda: self._session_gone or not self._channel.waiting, KILL_S)

    def _on_message(self, message: messages.ToSupervisor, descriptors: list[int]) -> None:
        match message:
            case messages.Spawn():
                self._spawn(message, descriptors)
            case messages.Stop():
                self._stop = message

    def _on_session_gone(self) -> None:
        self._session_gone = True
        self._stop = messages.Stop(0.0)

    def _spawn(self, order: messages.Spawn, descriptors: list[int]) -> None:
        try:
            (control,) = descriptors  # none comes where this process may have no more
            child = Child.start(order, control, self._reactor, self._on_output)
        except (OSError, ValueError) as exc:
            self._channel.send(messages.NotSpawned(order.node_id, str(exc)))
            return
        finally:
            for fd in descriptors:
                os.close(fd)
        self._children[order.node_id] = child
        self._reactor.register(child.pidfd, lambda _events: self._on_death(child))
        self._channel.send(messages.Spawned(order.node_id, child.pid, os.getpid()))

    def _on_output(self, node_id: str, stream: str, lines: list[str]) -> None:
        """Pass on what a node says; a session that can't keep up is told what it missed."""
        if self._channel.waiting >= _MAX_BACKLOG:
            self._missed[node_id] += len(lines)
            return
        if missed := self._missed.pop(node_id, 0):
            lines = [f"[{missed} lines of its output were dropped]", *lines]
        self._channel.send(messages.Output(node_id, stream, lines))

    def _on_death(self, child: Child) -> None:
        child.kill(signal.SIGKILL)  # what it has started must not hold on to its pipes
        _, status = os.waitpid(child.pid, 0)
        child.close(self._reactor)
        code = os.waitstatus_to_exitcode(status)
        del self._children[child.node_id]
        self._channel.send(
            messages.Exited(
                node_id=child.node_id,
                pid=child.pid,
                exit_code=code if code >= 0 else None,
                signal=_signal_name(-code) if code < 0 else None,
                stderr=child.last_words(),
                timed_out=child.timed_out,
            )
        )

    def _next_deadline(self) -> float | None:
        deadlines = [c.deadline for c in self._children.values() if c.deadline is not None]
        return max(min(deadlines) - time.monotonic(), 0) if deadlines else None

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.deadline is not None and child.deadline <= now:
                child.deadline = None
                child.timed_out = True
                child.kill(signal.SIGKILL)

    def _end_all(self, ask_s: float) -> None:
        """The shutdown ladder: ask, SIGTERM, SIGKILL, reap; then what was left behind."""
        for child in self._children.values():
            child.ask()
        steps = [(None, ask_s), (signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)]
        for number, limit_s in steps[2:] if self._session_gone else steps:
            for child in self._children.values():
                if number is not None:
                    child.kill(number)
            self._wait_until(lambda: not self._children, limit_s)
        kernel.end_children((), KILL_S)  # what the nodes' own children left behind

    def _wait_until(self, condition: Callable[[], bool], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while not condition() and (left := deadline - time.monotonic()) > 0:
            self._reactor.poll(left)

    def _watch_orphans(self) -> None:
        """Reap adopted processes as they end, lest they stay as zombies."""
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

        def reap(_events: int) -> None:
            os.read(read, 4096)
            own = {child.pid for child in self._children.values()}
            for pid in kernel.children():
                if pid not in own:
                    os.waitpid(pid, os.WNOHANG)

        self._reactor.register(read, reap)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def main(fd: int) -> None:
    """Supervise the session at the other end of ``fd``; returns when nothing is left."""
    kernel.name_process("penstock-super")
    Supervisor(socket.socket(fileno=fd)).run()
