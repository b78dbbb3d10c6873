"""The line to one supervisor: what is asked of it, and when it has done so."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable

import msgspec

from penstock.executors.multiprocess import messages, supervisor
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.transport import Reactor
from penstock.executors.multiprocess.transport.frames import close_all

HIRE_S = 5.0
"""How long a zygote may take to fork the next supervisor before it is taken for stuck."""


class Supervision:
    """Hears one supervisor on ``reactor``.

    ``on_message`` gets what it says of processes, ``on_gone`` is called where it dies unasked.
    ``number`` is that of the order for it, where it was ordered here. With ``node_id`` all that it
    has is one process, which it knows by another name. ``refusal`` is why the zygote forked none,
    where it has said so.
    """

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        on_message: Callable[[messages.OfProcess], None],
        on_gone: Callable[[], None],
        *,
        number: int = 0,
        node_id: str | None = None,
    ) -> None:
        self.has_spoken = False
        self.refusal = ""
        self.pid = 0
        self._on_message = on_message
        self._on_gone = on_gone
        self._number = number
        self._node_id = node_id
        self._patience: asyncio.TimerHandle | None = None
        self._stopped = asyncio.Event()
        self._channel: Channel[messages.FromSupervisor] = Channel(
            sock, reactor, messages.FromSupervisor, self._heard, self._ended
        )

    def expect_word(self) -> None:
        """It was just asked for: where a stuck zygote keeps it from coming, that is replaced."""
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(HIRE_S, self._lose_patience)

    def tell(self, order: messages.ToSupervisor, sock: socket.socket | None = None) -> None:
        """Send an order, and with it an end of a socket, which is closed here."""
        if sock is None:
            self._channel.send(order)
            return
        with sock:
            self._channel.send(order, [sock.fileno()])

    async def stop(self, ask_s: float, ladder_s: float = supervisor.LADDER_S) -> bool:
        """Have it end its processes, and itself; whether it did so in time.

        One that took longer than ``ladder_s`` after ``ask_s`` is killed, and its processes die
        with it.
        """
        self.tell(messages.Stop(ask_s))
        if await self.has_stopped(ask_s + ladder_s):
            return True
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        return False

    async def has_stopped(self, limit_s: float) -> bool:
        """Wait for the end of its processes; whether it came in time."""
        if self._stopped.is_set() or not limit_s:
            return self._stopped.is_set()
        try:
            async with asyncio.timeout(limit_s):
                await self._stopped.wait()
        except TimeoutError:
            return False
        return True

    def drain(self) -> None:
        """Hear what it has said by now."""
        self._channel.drain()

    def close(self) -> None:
        """Let go of it: it ends, and everything below it, where it has not."""
        self._channel.close()
        self._be_patient()

    def _heard(self, message: messages.FromSupervisor, unwanted: list[int]) -> None:
        close_all(unwanted)
        if isinstance(message, messages.NotSupervised):
            self.refusal = message.reason
            LAUNCHER.answered(self._number)
            return
        if not self.has_spoken:
            self.has_spoken = True
            self._be_patient()
            LAUNCHER.answered(self._number)
        if isinstance(message, messages.Stopped):
            self._stopped.set()
            return
        if isinstance(message, messages.Spawned):
            self.pid = message.supervisor
        if self._node_id is not None:
            message = msgspec.structs.replace(message, node_id=self._node_id)
        self._on_message(message)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _lose_patience(self) -> None:
        if left_s := LAUNCHER.patience_s(self._number, HIRE_S):
            self._patience = asyncio.get_running_loop().call_later(left_s, self._lose_patience)
            return
        self.close()
        self._ended()

    def _ended(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            self._on_gone()
