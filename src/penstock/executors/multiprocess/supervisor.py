"""The one supervisor of a session: starts its processes, hears them, ends them, reaps them.

Single-threaded; it never runs a node's code and never holds a lane. It is a subreaper, so
that what its processes leave behind falls to it. When the session's end of the channel is
gone, everything below it goes.

A hosted session is one more of its processes: then its owner's channel is what keeps
everything alive, and hears of the host what the session hears of its nodes.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection

from penstock.executors.multiprocess import kernel, messages, worker
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.child import Body, Child
from penstock.executors.multiprocess.deadlines import STACKS_S
from penstock.executors.multiprocess.limits import SessionLimits, shortage
from penstock.executors.multiprocess.transport import Reactor, socket_pair
from penstock.executors.whereabouts import answer_with_stacks

PROCESS_NAME = "penstock-super"
TERM_S = 0.8
"""How long a process may take to end after SIGTERM."""
KILL_S = 0.8
"""How long the kernel may take to end it after SIGKILL."""
HOST_END_S = 1.0
"""How long a host may take to end once it has let go of its supervisor."""
LADDER_S = STACKS_S + TERM_S + KILL_S + KILL_S + 0.2
"""How long the ladder may take after its first step, the orphans and the last word included."""
_MAX_BACKLOG = 256

HostMain = Callable[[int, int, int, int], None]
"""Is a session's host, on its control channel, that to its supervisor, its leash, its vitals."""
HOST_MARGIN_S = 0.5
"""How much later than the host itself its supervisor sees that a node in it is late."""


class Supervisor:
    """Serves one session over ``sock`` until that has been stopped or is gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._reactor = Reactor()
        self._children: dict[str, Child] = {}
        self._missed: Counter[str] = Counter()
        self._limits = SessionLimits()
        self._stop: messages.Stop | None = None
        self._stop_nodes: messages.Stop | None = None
        self._owner_gone = False
        self._owner: Channel[messages.ToSupervisor] = Channel(
            sock, self._reactor, messages.ToSupervisor, self._on_owner, self._on_owner_gone
        )
        self._session = self._owner

    def start_host(self, host_main: HostMain, control: int) -> None:
        """The session is in a process of its own; ``control`` is that one's to talk to its owner.

        It is blank: nothing bounds how long it may wait for its session. Where it can't be
        started, its owner is told, and all is over.
        """
        ours, theirs = socket_pair()
        descriptors = (control, theirs.fileno())
        body = Body("penstock-host", descriptors, _host(host_main, descriptors))
        try:
            with theirs:
                host = Child.start(messages.HOST, body, self._reactor, self._on_output)
        except OSError as exc:
            ours.close()
            self._owner.send(messages.NotSpawned(messages.HOST, shortage(exc)))
            self._stop = messages.Stop(0.0)
            return
        finally:
            os.close(control)
        self._session = Channel(
            ours, self._reactor, messages.ToSupervisor, self._on_session, self._on_session_gone
        )
        self._keep(host)

    def run(self) -> None:
        kernel.become_subreaper()
        self._watch_orphans()
        while self._stop is None:
            self._reactor.poll(self._next_deadline())
            self._enforce_deadlines()
            self._end_nodes()
        self._end(self._children.values, self._stop.ask_s)
        kernel.end_children((), KILL_S)  # what the nodes' own children left behind
        self._limits.end(KILL_S)
        if not self._owner_gone:
            self._owner.send(messages.Stopped())
            self._wait_until(lambda: self._owner_gone or not self._owner.waiting, KILL_S)

    def _on_owner(self, message: messages.ToSupervisor, descriptors: list[int]) -> None:
        """Whoever keeps us alive; where nothing is hosted, the session itself."""
        match message:
            case messages.Spawn():
                self._spawn(message, descriptors)
            case messages.Watch():
                if (host := self._children.get(messages.HOST)) is not None:
                    self._watch(host, message)
            case messages.Limit():
                for child in self._children.values():
                    child.deadlines.process_timeout_s = message.process_timeout_s
            case messages.Stop():
                self._stop = message

    def _watch(self, host: Child, order: messages.Watch) -> None:
        """Bound what a host does from now on."""
        host.deadlines.expect_setup(order.init_timeout_s)
        if order.process_timeout_s is not None:
            host.deadlines.process_timeout_s = order.process_timeout_s + HOST_MARGIN_S
        host.confine(order.allowance, self._limits.group_for(order.allowance))

    def _on_owner_gone(self) -> None:
        self._owner_gone = True
        self._stop = messages.Stop(0.0)

    def _on_session(self, message: messages.ToSupervisor, descriptors: list[int]) -> None:
        """A hosted session."""
        match message:
            case messages.Spawn():
                self._spawn(message, descriptors)
            case messages.Stop():
                self._stop_nodes = message

    def _on_session_gone(self) -> None:
        """It is through with us, and its host about to end; or that has closed what isn't its."""
        self._stop_nodes = messages.Stop(0.0)
        host = self._children.get(messages.HOST)
        if host is not None:
            host.deadlines.expect("teardown", HOST_END_S)

    def _spawn(self, order: messages.Spawn, descriptors: list[int]) -> None:
        node_id = order.node_id
        try:
            control = _that_came(descriptors)
            body = Body(
                f"pn:{node_id}",
                (control,),
                lambda leash, vitals: worker.main(control, leash, vitals),
                worker.__name__ if order.python else None,
                order.python,
                order.allowance,
                self._limits.group_for(order.allowance),
            )
            child = Child.start(node_id, body, self._reactor, self._on_output)
        except (OSError, ValueError) as exc:
            reason = shortage(exc) if isinstance(exc, OSError) else str(exc)
            self._session.send(messages.NotSpawned(node_id, reason))
            return
        finally:
            for fd in descriptors:
                os.close(fd)
        child.deadlines.expect_setup(order.init_timeout_s)
        child.deadlines.process_timeout_s = order.process_timeout_s
        self._keep(child)

    def _keep(self, child: Child) -> None:
        self._children[child.name] = child
        self._reactor.register(child.pidfd, lambda _events: self._on_death(child))
        self._hearer(child.name).send(messages.Spawned(child.name, child.pid, os.getpid()))

    def _hearer(self, name: str) -> Channel[messages.ToSupervisor]:
        """Who hears about a child of that name."""
        return self._owner if name == messages.HOST else self._session

    def _on_output(self, name: str, stream: str, lines: list[str]) -> None:
        """Pass on what a node says; a session that can't keep up is told what it missed."""
        hearer = self._hearer(name)
        if hearer.waiting >= _MAX_BACKLOG:
            self._missed[name] += len(lines)
            return
        if missed := self._missed.pop(name, 0):
            lines = [f"[{missed} lines of its output were dropped]", *lines]
        hearer.send(messages.Output(name, stream, lines))

    def _on_death(self, child: Child) -> None:
        child.kill(signal.SIGKILL)  # what it has started must not hold on to its pipes
        _, status, used = os.wait4(child.pid, 0)
        busy, stacks = [call.slot for call in child.vitals.busy()], child.vitals.stacks()
        child.close(self._reactor)
        overdue = child.deadlines.overdue
        code = os.waitstatus_to_exitcode(status)
        del self._children[child.name]
        self._hearer(child.name).send(
            messages.Exited(
                node_id=child.name,
                pid=child.pid,
                exit_code=code if code >= 0 else None,
                signal=_signal_name(-code) if code < 0 else None,
                stderr=child.last_words(),
                exceeded_bytes=child.exceeded_bytes,
                overdue=overdue.method if overdue else "",
                limit_s=overdue.limit_s if overdue else 0.0,
                busy=busy,
                stacks=stacks,
                cpu_ns=round((used.ru_utime + used.ru_stime) * 1e9),
                peak_memory_bytes=used.ru_maxrss * 1024,
            )
        )
        if child.name == messages.HOST:
            self._stop = messages.Stop(0.0)

    def _next_deadline(self) -> float | None:
        waits = (child.deadlines.wait_s() for child in self._children.values())
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _enforce_deadlines(self) -> None:
        for child in self._children.values():
            if child.deadlines.should_be_killed():
                child.kill(signal.SIGKILL)

    def _end_nodes(self) -> None:
        """A hosted session ends its nodes before its host ends itself."""
        if self._stop_nodes is None or self._stop is not None:
            return
        order, self._stop_nodes = self._stop_nodes, None
        self._end(self._nodes, order.ask_s)
        self._session.send(messages.Stopped())

    def _nodes(self) -> list[Child]:
        return [child for name, child in self._children.items() if name != messages.HOST]

    def _end(self, left: Callable[[], Collection[Child]], ask_s: float) -> None:
        """The shutdown ladder: ask, ask for the stacks, SIGTERM, SIGKILL, reap.

        ``left`` are those of the doomed that live. Who is not to be asked is killed.
        """
        steps: list[tuple[Callable[[Child], None], float]] = [
            (Child.ask, ask_s),
            (lambda child: child.deadlines.give_up(asked_s=ask_s), STACKS_S),
            (lambda child: child.kill(signal.SIGTERM), TERM_S),
            (lambda child: child.kill(signal.SIGKILL), KILL_S),
        ]
        for do, limit_s in steps if ask_s else steps[-1:]:
            for child in left():
                do(child)
            self._wait_until(lambda: not left(), limit_s)

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
            for child in self._children.values():
                child.note_stop()
            own = {child.pid for child in self._children.values()}
            for pid in kernel.children():
                if pid not in own:
                    os.waitpid(pid, os.WNOHANG)

        self._reactor.register(read, reap)


def _host(host_main: HostMain, descriptors: tuple[int, int]) -> Callable[[int, int], None]:
    """What a host's process runs."""

    def run(leash: int, vitals: int) -> None:
        answer_with_stacks(vitals)
        host_main(*descriptors, leash, vitals)

    return run


def _that_came(descriptors: list[int]) -> int:
    """The one; the kernel leaves it out where this process may have no more."""
    if not descriptors:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return descriptors[0]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def main(fd: int, host: tuple[HostMain, int] | None) -> None:
    """Supervise the session at the other end of ``fd``; returns when nothing is left.

    ``host`` is what runs the session in a process of its own, and its control channel.
    """
    kernel.name_process(PROCESS_NAME)
    supervisor = Supervisor(socket.socket(fileno=fd))
    if host is not None:
        supervisor.start_host(*host)
    supervisor.run()
