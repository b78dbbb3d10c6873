"""Whether the zygote works: it has to fork a supervisor, which has to answer."""

from __future__ import annotations

import select
import socket

from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import encoded
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.transport import socket_pair


def zygote_answers(limit_s: float) -> bool:
    """Start one where there is none, and see whether it does its work within ``limit_s``."""
    try:
        ours, theirs = socket_pair()
        with ours:
            with theirs:
                LAUNCHER.supervise(theirs)
            ours.send(encoded(messages.Stop(0.0)))
            return _answered(ours, limit_s)
    except OSError:  # it can't be started, or died at once
        return False


def _answered(sock: socket.socket, limit_s: float) -> bool:
    """A word, rather than the end of the channel."""
    readable = select.poll()
    readable.register(sock, select.POLLIN)
    return bool(readable.poll(limit_s * 1000)) and bool(sock.recv(1))
