"""What comes from a client, cut into frames: some of one connection, then some of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.service.rpc.frames import HEAD_BYTES, HEADERS, MAX_PAYLOAD_BYTES, parse_head
from penstock.service.rpc.turnstile import Turnstile

_SPELL = 256
"""How many frames are taken before others have their turn, one that costs much as so many:"""
_COSTLY = 16
_SPELL_S = 0.002
"""Nor are more taken at once when those before have taken so long."""


class Inflow:
    """Gives whole frames to ``take``: kind, flags, stream and payload.

    That says whether the frame cost much. ``refuse`` is told of a frame that is larger than may
    be. Nothing is taken before ``wait_until``, in the loop's time, nor after ``close``; headers,
    with which calls begin, are as the ``turnstile`` lets them through.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        turnstile: Turnstile,
        take: Callable[[int, int, int, bytes], bool],
        refuse: Callable[[], None],
    ) -> None:
        self.wait_until = 0.0
        self._loop = loop
        self._turnstile = turnstile
        self._take = take
        self._refuse = refuse
        self._rest = b""
        self._going_on: asyncio.TimerHandle | None = None
        self._waits = self._is_let_through = False
        self._transport: asyncio.Transport | None = None

    def open(self, transport: asyncio.Transport) -> None:
        """From now on frames come from there."""
        self._transport = transport

    def close(self) -> None:
        """Nothing more is of interest."""
        self._transport = None
        self._take, self._refuse = _not_taken, _not_refused  # no cycle is left to be collected
        self._rest = b""
        if self._going_on is not None:
            self._going_on.cancel()

    def add(self, data: bytes) -> None:
        """Something has come."""
        if self._waits:  # it was under way when its client was to wait
            self._rest += data
            return
        at = self._complete(data) if self._rest else 0
        end, spent, until = len(data), 0, self._loop.time() + _SPELL_S
        while end - at >= HEAD_BYTES and self._transport is not None:
            size, kind, flags, stream = parse_head(data, at)
            stop = at + HEAD_BYTES + size
            if size > MAX_PAYLOAD_BYTES:
                self._refuse()
                break
            if stop > end:
                break
            if kind == HEADERS and not self._may_begin():
                self._await_turn(data[at:])
                return
            is_costly = self._take(kind, flags, stream, data[at + HEAD_BYTES : stop])
            spent += _COSTLY if is_costly else 1
            at = stop
            if spent >= _SPELL or (at < end and self._loop.time() >= until):
                self._pause(data[at:])
                return
        if at < end and self._transport is not None:
            self._rest = data[at:]
        if (
            self.wait_until
            and not self._waits
            and (wait_s := self.wait_until - self._loop.time()) > 0
        ):
            self._pause(self._rest, wait_s)

    def _complete(self, data: bytes) -> int:
        """Take the frame of which part was here, if all of it is; how much of what came it was."""
        rest = self._rest
        whole = rest + data[: HEAD_BYTES + MAX_PAYLOAD_BYTES]
        if len(whole) >= HEAD_BYTES:
            size, kind, flags, stream = parse_head(whole, 0)
            stop = HEAD_BYTES + size
            if size > MAX_PAYLOAD_BYTES:
                self._refuse()
                return len(data)
            if stop <= len(whole):
                self._rest = b""
                if kind == HEADERS and not self._may_begin():
                    self._await_turn(rest + data)
                    return len(data)
                self._take(kind, flags, stream, whole[HEAD_BYTES:stop])
                return stop - len(rest)
        self._rest = rest + data
        return len(data)

    def _may_begin(self) -> bool:
        """Whether headers may be taken now."""
        is_let_through, self._is_let_through = self._is_let_through, False
        return is_let_through or self._turnstile.admits()

    def _pause(self, rest: bytes, wait_s: float = 0.0) -> None:
        """Let others have their turn, before any more of this is taken."""
        if self._hold(rest):
            self._going_on = self._loop.call_later(wait_s, self._go_on)

    def _await_turn(self, rest: bytes) -> None:
        """Take no more before a call may be begun."""
        if self._hold(rest):
            self._turnstile.wait(self._pass_through)

    def _hold(self, rest: bytes) -> bool:
        """Keep what is here, and read no more for now; False where nothing is of interest."""
        self._rest = rest
        if self._transport is None:
            return False
        self._waits = True
        self._transport.pause_reading()
        return True

    def _pass_through(self) -> None:
        self._is_let_through = True
        self._go_on()

    def _go_on(self) -> None:
        self._waits, self._going_on = False, None
        rest, self._rest = self._rest, b""
        self.add(rest)
        if not self._waits and self._transport is not None:
            self._transport.resume_reading()


def _not_taken(*_frame: object) -> bool:
    return False


def _not_refused() -> None:
    """Nobody is there to be told."""
