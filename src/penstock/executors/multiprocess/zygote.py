"""The process that all others are forked from: small, single-threaded, with warm imports.

Started by exec, before anything of the caller could be inherited. It forks supervisors and
reaps them; it never holds a lane and never runs a node's code. When the program that started
it is gone, it ends as soon as its last supervisor has.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import socket
import sys
import time
import traceback
from typing import Protocol, cast

from penstock.executors.multiprocess import cgroup, kernel, messages, supervisor
from penstock.executors.multiprocess import child as _warm  # noqa: F401  # imported to be forked
from penstock.executors.multiprocess.channel import Channel, decoder, encoded
from penstock.executors.multiprocess.interpreter import restore_blas_threads
from penstock.executors.multiprocess.limits import shortage
from penstock.executors.multiprocess.transport import Reactor

ORPHANS_S = 2.0
"""How long the kernel may take to end what a killed supervisor left."""
ABANDONED_S = 0.5
"""How long supervisors may take to end that have lost their program."""


class HostModule(Protocol):
    """What hosts are made of."""

    def prepare(self) -> None:
        """Called once, here, before the first one is forked."""

    def main(self, control: int, supervisor: int, leash: int, vitals: int) -> None:
        """Is a host; called in its process."""


class Zygote:
    """Forks a supervisor for every ``Supervise`` that comes over ``sock``.

    It has a descriptor for each, as many as it may; what it forks may have ``files`` of them.
    """

    def __init__(self, sock: socket.socket, files: int) -> None:
        self._files = files
        self._reactor = Reactor()
        self._channel: Channel[messages.Supervise] = Channel(
            sock, self._reactor, messages.Supervise, self._on_supervise, self._on_caller_gone
        )
        self._supervisors: dict[int, int] = {}
        self._program = os.getppid()
        self._caller_gone = False
        self._give_up_at: float | None = None
        self._host_modules: dict[str, HostModule] = {}

    def run(self) -> None:
        kernel.become_subreaper()
        kernel.allow_files()
        for kinds in (messages.ToSupervisor, messages.ToNode):
            decoder(kinds)  # now, and not in each that is forked
        _freeze()
        while self._supervisors or not self._caller_gone:
            self._reactor.poll(self._patience_s())
            if self._patience_s() == 0:
                self._give_up()

    def _on_supervise(self, order: messages.Supervise, descriptors: list[int]) -> None:
        try:
            if len(descriptors) != (1 if order.host is None else 2):
                _refuse(descriptors, OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
                return  # the kernel leaves out what there is no room for
            host = None if order.host is None else self._host_module(order.host)
            pid = os.fork()
            if pid == 0:
                _become_supervisor(host, descriptors, self._files)
            pidfd = _watched(pid)
        except OSError as exc:
            _refuse(descriptors, exc)
            return
        except (ImportError, AttributeError):
            traceback.print_exc()
            return
        finally:
            for fd in descriptors:
                os.close(fd)
        self._supervisors[pid] = pidfd
        self._reactor.register(pidfd, lambda _events: self._on_death(pid))

    def _host_module(self, name: str) -> HostModule:
        if name not in self._host_modules:
            module = cast("HostModule", importlib.import_module(name))
            module.prepare()
            _freeze()  # what was made so far is the same in all that are forked
            self._host_modules[name] = module
        return self._host_modules[name]

    def _on_death(self, pid: int) -> None:
        """Reap a supervisor, and end what it left, if it was killed."""
        os.waitpid(pid, 0)
        pidfd = self._supervisors.pop(pid)
        self._reactor.unregister(pidfd)
        os.close(pidfd)
        kernel.end_children(self._supervisors, ORPHANS_S)
        try:
            cgroup.end_group_of(pid, ORPHANS_S)
        except OSError:
            traceback.print_exc()

    def _on_caller_gone(self) -> None:
        self._caller_gone = True
        self._give_up_at = time.monotonic() + ABANDONED_S

    def _patience_s(self) -> float | None:
        return None if self._give_up_at is None else max(self._give_up_at - time.monotonic(), 0)

    def _give_up(self) -> None:
        """A dead program's supervisors end at once, unless something keeps them from running."""
        self._give_up_at = None
        if os.getppid() != self._program:  # else it has only let go of this zygote
            for pid in self._supervisors:
                os.kill(pid, signal.SIGKILL)


def _watched(pid: int) -> int:
    """Its pidfd; one that can't be watched is ended: it would be with the next orphans, later."""
    try:
        return kernel.watch_child(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _refuse(descriptors: list[int], error: OSError) -> None:
    """Tell who asked, if the end of its channel came, why there will be no supervisor."""
    with contextlib.suppress(OSError):  # it may be gone by now
        for owner in descriptors[:1]:
            os.write(owner, encoded(messages.NotSupervised(shortage(error))))


def _freeze() -> None:
    """Keep the garbage collector of what is forked from touching what is here."""
    gc.collect()
    gc.freeze()


def _become_supervisor(host: HostModule | None, descriptors: list[int], files: int) -> None:
    code = 1
    try:
        kernel.close_all_but(descriptors)
        kernel.allow_files(files)
        session, *control = descriptors
        supervisor.main(session, None if host is None else (host.main, control[0]))
        code = 0
    except BaseException:  # noqa: BLE001  # the last frame of a process: say why and end
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    kernel.name_process("penstock-zygote")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    restore_blas_threads()
    fd, files = map(int, sys.argv[1:])
    Zygote(socket.socket(fileno=fd), files).run()


if __name__ == "__main__":
    main()
