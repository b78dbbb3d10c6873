"""What the zygote makes a session's host of; it isn't imported anywhere else."""

from __future__ import annotations

import asyncio
import socket

from penstock.executors.multiprocess import worker
from penstock.session.hosting.host import Host
from penstock.session.hosting.rehearsal import rehearse


def prepare() -> None:
    """Once, in the zygote, before it forks the first host."""
    rehearse()


def main(control_fd: int, supervisor_fd: int, leash_fd: int) -> None:
    """Have one session in this process; returns when that has ended."""
    sockets = [socket.socket(fileno=fd) for fd in (control_fd, supervisor_fd, leash_fd)]
    with asyncio.Runner(loop_factory=worker.loop_factory()) as runner:
        runner.run(_host(*sockets))


async def _host(control: socket.socket, supervisor: socket.socket, leash: socket.socket) -> None:
    await Host(control, supervisor, leash).run()
