"""A process that a supervisor has started: its pidfd, its leash, what it says."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NoReturn, TextIO

import numpy.random

from penstock.executors.multiprocess import kernel, limits, stacks, worker
from penstock.executors.multiprocess.cgroup import NodeGroup
from penstock.executors.multiprocess.deadlines import Deadlines
from penstock.executors.multiprocess.interpreter import foreign_arguments
from penstock.executors.multiprocess.transport import Reactor, socket_pair
from penstock.executors.vitals import ChildVitals

LAST_WORDS = 40
"""Lines of stderr that are kept for the report of a death."""
_READ = 64 << 10
_SEED_BYTES = 32

OnOutput = Callable[[str, str, list[str]], None]


@dataclass(frozen=True, slots=True)
class Body:
    """What a child process is to be: ``run`` in the fork, given its leash and its vitals.

    It keeps ``descriptors``, and may use what ``allowance`` and ``group`` say. With ``python``,
    ``main`` of the module ``name`` is run in that interpreter instead, with the same descriptors,
    the leash and the vitals as its arguments.
    """

    title: str
    descriptors: tuple[int, ...]
    run: Callable[[int, int], None]
    name: str | None = None
    python: str | None = None
    allowance: limits.Allowance = limits.UNLIMITED
    group: NodeGroup | None = None


class Child:
    """A node's process, or a session's host."""

    def __init__(
        self,
        name: str,
        pid: int,
        leash: socket.socket,
        vitals: ChildVitals,
        group: NodeGroup | None,
    ) -> None:
        self.name = name
        self.pid = pid
        self.pidfd = kernel.watch_child(pid)
        self.vitals = vitals
        self.deadlines = Deadlines(vitals, self.pidfd)
        self._leash = leash
        self._group = group
        self._streams: list[_Stream] = []
        self._stderr: deque[str] = deque(maxlen=LAST_WORDS)

    @classmethod
    def start(cls, name: str, body: Body, reactor: Reactor, on_output: OnOutput) -> Child:
        """Fork a process, or have another interpreter exec'd there.

        Raises ``OSError`` where the system has no more of something; then there is nothing.
        """
        with ExitStack() as lent, ExitStack() as undo:
            ours, theirs = socket_pair()
            undo.enter_context(ours)
            lent.enter_context(theirs)
            out_read, out_write = _pipe(undo, lent)
            err_read, err_write = _pipe(undo, lent)
            vitals = ChildVitals()
            undo.callback(vitals.close)
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                _become(parent, body, (theirs.fileno(), vitals.fd), (out_write, err_write))
            child = cls(name, pid, ours, vitals, body.group)
            undo.pop_all()
        child._listen(reactor, out_read, err_read, on_output)
        return child

    def ask(self) -> None:
        """Have the process end of itself."""
        try:
            self._leash.send(worker.STOP)
        except OSError:
            return  # it has ended, or closed its end: the ladder goes on

    def kill(self, number: signal.Signals) -> None:
        """Signal the process and what else is in its group; nothing there escapes SIGKILL."""
        if number is signal.SIGKILL and self._group is not None:
            self._group.kill()
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            signal.pidfd_send_signal(self.pidfd, number)

    def confine(self, allowance: limits.Allowance, group: NodeGroup | None) -> None:
        """Limit its memory, though it runs already; where it has ended, there is nothing to."""
        self._group = group
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            limits.confine_memory_of(self.pid, allowance, group)

    @property
    def exceeded_bytes(self) -> int | None:
        """The limit of memory that the kernel killed it for."""
        return None if self._group is None else self._group.exceeded_bytes

    def note_stop(self) -> None:
        """See whether a signal has stopped the process, or had it go on, since the last time."""
        try:
            change = os.waitid(os.P_PIDFD, self.pidfd, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
        except ChildProcessError:
            return  # it has ended
        if change is not None:
            self.deadlines.stopped(is_stopped=change.si_code == os.CLD_STOPPED)

    def last_words(self) -> str:
        return "\n".join(self._stderr)

    def close(self, reactor: Reactor) -> None:
        """Hear what it said last and let go of everything; it must have been reaped."""
        for stream in self._streams:
            stream.drain()
            stream.close()
        for fd in (self.pidfd, self._leash.fileno()):
            reactor.unregister(fd)
        os.close(self.pidfd)
        self._leash.close()
        self.vitals.close()

    def _listen(self, reactor: Reactor, out: int, err: int, on_output: OnOutput) -> None:
        def heard(stream: str) -> Callable[[list[str]], None]:
            def lines(found: list[str]) -> None:
                if stream == "stderr":
                    self._stderr.extend(found)
                on_output(self.name, stream, found)

            return lines

        self._streams = [
            _Stream(out, reactor, heard("stdout")),
            _Stream(err, reactor, heard("stderr")),
        ]
        self._leash.setblocking(False)
        reactor.register(self._leash.fileno(), lambda _events: self._on_leash(reactor))

    def _on_leash(self, reactor: Reactor) -> None:
        try:
            said = self._leash.recv(len(worker.READY))
        except ConnectionResetError:  # it ended with our word unread
            said = b""
        if said == worker.READY:
            self.deadlines.set_up()
        elif not said:
            reactor.unregister(self._leash.fileno())


class _Stream:
    """A node's stdout or stderr, cut into lines."""

    def __init__(self, fd: int, reactor: Reactor, on_lines: Callable[[list[str]], None]) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._reactor = reactor
        self._on_lines = on_lines
        self._rest = b""
        reactor.register(fd, self._ready)

    def drain(self) -> None:
        """Read what a pipe can hold at most, and treat an unfinished line as one."""
        for _ in range(2):
            if self._fd < 0 or not self._read():
                break
        if self._rest:
            self._on_lines([self._rest.decode(errors="replace")])
            self._rest = b""

    def close(self) -> None:
        if self._fd >= 0:
            self._reactor.unregister(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _ready(self, _events: int) -> None:
        self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _READ:
            lines, self._rest = [*lines, self._rest], b""
        if lines:
            self._on_lines([line.decode(errors="replace") for line in lines])
        return True


def _become(parent: int, body: Body, watched: tuple[int, int], pipes: tuple[int, int]) -> NoReturn:
    """In the forked child: forget the supervisor, then be what it was forked for."""
    code = 1
    try:
        kernel.die_with(parent)
        kernel.go_before_others()
        os.setpgid(0, 0)
        _reset_signals()
        for fd, target in zip(pipes, (1, 2), strict=True):
            os.dup2(fd, target)
        kept = (*body.descriptors, *watched)
        kernel.close_all_but(kept)
        limits.confine(body.allowance, body.group)
        if body.python is not None and body.name is not None:
            _exec(body.python, body.name, kept)
        stacks.shrink()
        kernel.name_process(body.title)
        gc.unfreeze()
        _reseed()
        sys.stdout, sys.stderr = _text(1), _text(2)
        body.run(*watched)
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:  # noqa: BLE001  # the last frame of a process: say why and end
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # whoever read them may be gone, and the frames above are the supervisor's
            os._exit(code)


def _reseed() -> None:
    """The legacy generator is what a fork duplicates; finding its own seed takes it longer."""
    numpy.random.seed(numpy.frombuffer(os.urandom(_SEED_BYTES), numpy.uint32))


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    """A pipe from a child, whose ends two stacks close."""
    read, write = os.pipe2(os.O_CLOEXEC)
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write


def _text(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, errors="backslashreplace", closefd=False)


def _reset_signals() -> None:
    """A terminal's Ctrl-C is the session's business; everything else is as in a new process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _exec(python: str, module: str, descriptors: Sequence[int]) -> NoReturn:
    for fd in descriptors:
        os.set_inheritable(fd, True)
    arguments = [python, *foreign_arguments(module), *map(str, descriptors)]
    os.execv(python, arguments)  # noqa: S606  # the operator allowed this one
