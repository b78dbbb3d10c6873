"""What falls to a service when its zygote or a supervisor is killed, and how it ends that.

Only a program that starts nothing but zygotes may inherit: ``penstock serve``, not the library.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

from penstock.executors.multiprocess import kernel
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.supervisor import PROCESS_NAME

END_S = 1.0
"""How long the kernel may take, when the service ends, to end what is left."""


@contextlib.contextmanager
def inheriting() -> Iterator[None]:
    """End the orphans of sessions, while the event loop that this is called on runs.

    Children that this process has already are its own affair. Supervisors whose zygote was
    killed go on with their sessions, and are only reaped.
    """
    kernel.become_subreaper()
    others = frozenset(kernel.children()) - {LAUNCHER.pid}
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, _settle, others)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCHLD)
        kernel.end_children(others | {LAUNCHER.pid or 0}, END_S)


def _settle(others: frozenset[int]) -> None:
    """Reap who has ended; kill who has lost everybody that would have.

    Zygotes are started on the event loop's thread, as this is run: none is unknown here.
    """
    for pid in kernel.children():
        if pid in others or pid == LAUNCHER.pid or os.waitpid(pid, os.WNOHANG) != (0, 0):
            continue
        if kernel.process_name(pid) != PROCESS_NAME:
            os.kill(pid, signal.SIGKILL)  # its death calls us again
