"""Whether the zygote works: it has to fork a supervisor, which has to answer."""

from __future__ import annotations

import asyncio
import select
import socket

from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import encoded
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.transport import socket_pair


def zygote_answers(limit_s: float) -> bool:
    """Start one where there is none, and see whether it does its work within ``limit_s``."""
    try:
        with _asked() as answer:
            readable = select.poll()
            readable.register(answer, select.POLLIN)
            return bool(readable.poll(limit_s * 1000)) and _is_word(answer)
    except OSError:  # it can't be started, or died at once
        return False


async def zygote_answers_soon(limit_s: float) -> bool:
    """The same, while the event loop goes on; a zygote is started on its own thread."""
    loop = asyncio.get_running_loop()
    said = asyncio.Event()
    try:
        with _asked() as answer:
            loop.add_reader(answer, said.set)
            try:
                async with asyncio.timeout(limit_s):
                    await said.wait()
            finally:
                loop.remove_reader(answer)
            return _is_word(answer)
    except OSError:  # a TimeoutError is one, too
        return False


def _asked() -> socket.socket:
    """Where a supervisor that was asked to stop will say that it has."""
    ours, theirs = socket_pair()
    try:
        with theirs:
            LAUNCHER.supervise(theirs)
        ours.send(encoded(messages.Stop(0.0)))
    except OSError:
        ours.close()
        raise
    return ours


def _is_word(answer: socket.socket) -> bool:
    """Rather than the end of the channel."""
    return bool(answer.recv(1))
