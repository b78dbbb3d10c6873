"""An asyncio loop that is a reactor as well: what comes between processes costs it nothing more.

What a lane's end has to say is handled where the loop waits, as ``Reactor.poll`` handles it: no
descriptor inside another is asked for it, no callback is scheduled, and where nothing comes of it
but what a node does, the loop doesn't take a turn at all.
"""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TypeVarTuple

from penstock.executors.multiprocess.transport import Reactor

_Ts = TypeVarTuple("_Ts")
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_IN, _OUT = 0x1, 0x4  # EPOLLIN, EPOLLOUT


class ReactorSelector(selectors.EpollSelector):
    """An ``EpollSelector`` whose descriptors share its set with those of its ``reactor``."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor = Reactor(epoll=self.fileno())
        self._keys: Mapping[int, selectors.SelectorKey] = self._fd_to_key  # type: ignore[attr-defined]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready of the selector's own; the reactor has handled what is ready of its."""
        ready = []
        for fd, mask in self.reactor.serve(None if timeout is None else max(timeout, 0)):
            key = self._keys.get(fd)
            if key is not None:  # what has failed can be read and written
                events = (_READ if mask & ~_OUT else 0) | (_WRITE if mask & ~_IN else 0)
                ready.append((key, events & key.events))
        return ready

    def close(self) -> None:
        super().close()
        self.reactor.close()


class ReactorLoop(asyncio.SelectorEventLoop):
    """An asyncio loop with a ``reactor``, on which whatever runs in it can have its lanes.

    What a lane's handler raises goes where a callback's errors go, and the loop goes on.
    """

    def __init__(self, selector: ReactorSelector | None = None) -> None:
        selector = selector or ReactorSelector()
        super().__init__(selector)
        self.reactor = selector.reactor
        self.reactor.callbacks = self._ready  # type: ignore[attr-defined]
        self.reactor.on_error = self._failed

    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As any loop does it; where this one can't be woken, the process is at its end.

        Somebody has closed all its files, and it would wait for ever.
        """
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        try:
            os.fstat(self.reactor.fileno())
        except OSError:
            if not self.is_closed():
                os.abort()
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As any loop does it; a handler's may be due before the wait that it is called in ends."""
        self.reactor.looks = True
        return super().call_at(when, callback, *args, context=context)

    def stop(self) -> None:
        """As any loop does it, from a handler too."""
        self.reactor.looks = True
        super().stop()

    def close(self) -> None:
        super().close()
        self.reactor.on_error = None

    def _failed(self, error: BaseException) -> None:
        said = "what is ready on its reactor could not be handled"
        self.call_exception_handler({"message": said, "exception": error})


def reactor_of(loop: asyncio.AbstractEventLoop) -> Reactor:
    """The loop's own reactor, or a new one which a loop that has none will wait on."""
    if isinstance(loop, ReactorLoop):
        return loop.reactor
    reactor = Reactor(watched=True)
    loop.add_reader(reactor.fileno(), reactor.poll_batch)
    return reactor


def release_reactor(reactor: Reactor, loop: asyncio.AbstractEventLoop) -> None:
    """Give up what ``reactor_of`` gave: the loop's own lasts as long as that."""
    if not isinstance(loop, ReactorLoop):
        loop.remove_reader(reactor.fileno())
        reactor.close()
