"""The process that all others are forked from: small, single-threaded, with warm imports.

Started by exec, before anything of the caller could be inherited. It forks supervisors and
reaps them; it never holds a lane and never runs a node's code. When the program that started
it is gone, it ends as soon as its last supervisor has.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import traceback

from penstock.executors.multiprocess import cgroup, kernel, messages, supervisor
from penstock.executors.multiprocess import child as _warm  # noqa: F401  # imported to be forked
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.interpreter import restore_blas_threads
from penstock.executors.multiprocess.transport import Reactor

ORPHANS_S = 2.0
"""How long the kernel may take to end what a killed supervisor left."""


class Zygote:
    """Forks a supervisor for every ``Supervise`` that comes over ``sock``."""

    def __init__(self, sock: socket.socket) -> None:
        self._reactor = Reactor()
        self._channel: Channel[messages.Supervise] = Channel(
            sock, self._reactor, messages.Supervise, self._on_supervise, self._on_caller_gone
        )
        self._supervisors: dict[int, int] = {}
        self._caller_gone = False

    def run(self) -> None:
        kernel.become_subreaper()
        gc.collect()
        gc.freeze()
        while self._supervisors or not self._caller_gone:
            self._reactor.poll(None)

    def _on_supervise(self, order: messages.Supervise, descriptors: list[int]) -> None:
        try:
            if len(descriptors) != (1 if order.host is None else 2):
                return  # none was left for it: who asked sees the end of its channel
            if order.host is not None:
                _function(order.host)  # what is imported now, no host has to import
            pid = os.fork()
            if pid == 0:
                _become_supervisor(order, descriptors)
            pidfd = os.pidfd_open(pid)
        except (OSError, ImportError, AttributeError):
            traceback.print_exc()
            return
        finally:
            for fd in descriptors:
                os.close(fd)
        self._supervisors[pid] = pidfd
        self._reactor.register(pidfd, lambda _events: self._on_death(pid))

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


def _become_supervisor(order: messages.Supervise, descriptors: list[int]) -> None:
    code = 1
    try:
        kernel.close_all_but(descriptors)
        session, *control = descriptors
        host = None if order.host is None else (_function(order.host), control[0])
        supervisor.main(session, host)
        code = 0
    except BaseException:  # noqa: BLE001  # the last frame of a process: say why and end
        traceback.print_exc()
    finally:
        os._exit(code)


def _function(path: str) -> supervisor.HostMain:
    """The function at ``module:function``."""
    module, _, name = path.partition(":")
    found: supervisor.HostMain = getattr(importlib.import_module(module), name)
    return found


def main() -> None:
    kernel.name_process("penstock-zygote")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    restore_blas_threads()
    Zygote(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
