"""What the zygote makes a session's host of; it isn't imported anywhere else."""

from __future__ import annotations

import asyncio
import importlib
import select
import socket
from typing import Any

from penstock.executors.multiprocess.reactor_loop import ReactorLoop
from penstock.executors.vitals import OwnVitals
from penstock.nodes.builtin import BUILTIN
from penstock.session.hosting.host import Host
from penstock.session.hosting.rehearsal import rehearse


def prepare() -> None:
    """Once, in the zygote, before it forks the first host."""
    for provider in BUILTIN.values():
        importlib.import_module(provider.partition(":")[0])
    rehearse()


def main(control_fd: int, supervisor_fd: int, leash_fd: int, vitals_fd: int) -> None:
    """Have one session in this process; returns when that has ended.

    While none has come, the memory that a session writes to is copied, page by page, by having
    one: a page that the zygote still shares costs microseconds when it is first written to.
    """
    control, *others = (socket.socket(fileno=fd) for fd in (control_fd, supervisor_fd, leash_fd))
    if not _is_wanted(control):
        rehearse()
    with asyncio.Runner(loop_factory=ReactorLoop) as runner:
        runner.run(_host(control, *others, OwnVitals(vitals_fd)))


def _is_wanted(control: socket.socket) -> bool:
    return bool(select.select([control], [], [], 0)[0])


async def _host(*lines: Any) -> None:
    await Host(*lines).run()
