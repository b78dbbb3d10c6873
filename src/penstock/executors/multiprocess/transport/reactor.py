"""Waits on many descriptors at once, with or without an event loop around it.

A node's process blocks in ``poll``. A program with an asyncio loop adds ``fileno()`` to that
loop and calls ``poll(0)`` when it is readable: an epoll descriptor can itself be waited on.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

Handler: TypeAlias = Callable[[int], None]
_BATCH = 64


class Reactor:
    """An epoll set with a handler for each descriptor; for one thread, but for ``defer``.

    ``watched`` says that an event loop waits on it and has to be told of every chore;
    otherwise its owner comes back to ``poll`` by itself, and only one that waits is woken.
    """

    def __init__(self, *, watched: bool = False) -> None:
        self.watched = watched
        self._waiting = False
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._chores: deque[Callable[[], None]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.register(self._bell, self._rung)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def register(self, fd: int, handler: Handler, events: int = select.EPOLLIN) -> None:
        """Call ``handler`` with the epoll event mask whenever ``fd`` is ready."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def watch_writable(self, fd: int, *, wanted: bool) -> None:
        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if wanted else select.EPOLLIN)

    def unregister(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def poll(self, timeout_s: float | None) -> int:
        """Do the chores, wait until something is ready (None: however long), handle it.

        Gives the number of descriptors that were ready.
        """
        self._waiting = True  # from here on a chore rings the bell
        if self._chores:
            self._do_chores()
        ready = self._epoll.poll(timeout_s)
        self._waiting = False
        for fd, events in ready:
            handler = self._handlers.get(fd)
            if handler is not None:  # one handled before it may have closed it
                handler(events)
        if self._chores:
            self._do_chores()
        return len(ready)

    def poll_batch(self) -> None:
        """Handle what is ready now, again and again within reason: one turn of a busy loop."""
        for _ in range(_BATCH):
            if not self.poll(0):
                return

    def defer(self, chore: Callable[[], None]) -> None:
        """Have ``poll`` do this; may be called from any thread, in a destructor too."""
        self._chores.append(chore)
        if (self._waiting or self.watched) and self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Forget all descriptors; they stay open."""
        bell, self._bell = self._bell, -1
        self._handlers.clear()
        self._epoll.close()
        os.close(bell)

    def _rung(self, _events: int) -> None:
        os.eventfd_read(self._bell)

    def _do_chores(self) -> None:
        while self._chores:
            self._chores.popleft()()
