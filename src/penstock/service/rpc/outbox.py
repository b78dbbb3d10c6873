"""What goes to a client: within its windows, in turns, and once in each turn of the loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.service.rpc.frames import (
    DATA,
    DEFAULT_WINDOW,
    MAX_PAYLOAD_BYTES,
    MAX_WINDOW,
    head,
    ping,
)

if TYPE_CHECKING:
    from penstock.service.rpc.call import Call

_ASK_S = 0.005
"""How long a client has to tell how far it has read before it is asked again."""
FLUSH_BYTES = 64 << 10
"""So much isn't kept for the end of the loop's turn, nor given to a socket that takes no more."""
_MOST_UNHEARD_BYTES = 1 << 20
"""Who doesn't read may be told so much, beside messages; who asks for more is no client."""
_MOST_PAYLOAD_BYTES = 64 << 10
"""The largest payload of a frame, where the client takes that: other calls have their turns."""


class Outbox:
    """One connection's frames on their way out.

    ``blocked`` says that its socket takes no more for now, ``has_been_full`` that there was much in
    this turn of the loop, ``has_sent`` that a call has been sent something since that was looked
    at. Messages that have no room wait with their calls.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.blocked = False
        self.has_sent = False
        self.has_been_full = False
        self.call_window = DEFAULT_WINDOW
        self._window = DEFAULT_WINDOW
        self._most_payload = MAX_PAYLOAD_BYTES
        self._senders: dict[Call, None] = {}
        self._frames: list[bytes | memoryview] = []
        self._nbytes = 0
        self._unheard_bytes = 0
        self._flush_due = False
        self._asking: asyncio.TimerHandle | None = None
        self._loop = loop
        self._transport: asyncio.WriteTransport | None = None

    def open(self, transport: asyncio.WriteTransport) -> None:
        """From now on there is somewhere to send to."""
        transport.set_write_buffer_limits(high=FLUSH_BYTES)
        self._transport = transport

    def close(self) -> None:
        """Nobody is there any more."""
        self._transport = None
        self._senders.clear()
        self._frames.clear()
        if self._asking is not None:
            self._asking.cancel()

    def push(self, frames: bytes) -> None:
        """Send what needs no room."""
        if not frames:
            return
        if self.blocked:
            self._unheard_bytes += len(frames)
            if self._unheard_bytes > _MOST_UNHEARD_BYTES and self._transport is not None:
                self._transport.abort()
                self._transport = None
        self._frames.append(frames)
        self._wrote(len(frames))

    def send_nowait(self, call: Call, prefix: bytes, data: bytes) -> bool:
        """Send a message where there is room for it in one frame; whether that was so."""
        size = len(prefix) + len(data)
        if (
            size > call.lead.window
            or size > self._window
            or size > self._most_payload
            or call.unsent
            or self.blocked
            or call.lead.is_far
        ):
            return False
        call.lead.window -= size
        self._window -= size
        self.has_sent = True
        self._frames += (head(size, DATA, 0, call.stream) + prefix, data)
        self._wrote(size)
        return True

    def send(self, call: Call, prefix: bytes, data: bytes) -> bool:
        """Send a message; whether all of it is on its way, or has to wait for room."""
        call.lead.allow(len(prefix) + len(data))
        if self.send_nowait(call, prefix, data):
            return True
        call.unsent += (memoryview(prefix), memoryview(data)) if data else (memoryview(prefix),)
        self._senders[call] = None
        self.drain()
        return not call.unsent

    def forget(self, call: Call) -> None:
        """Nothing of a call is to be sent any more."""
        self._senders.pop(call, None)

    def widen(self, by: int, call: Call | None) -> bool:
        """A window is wider, a call's or (None) that of all together; whether it can be."""
        if not 0 < by <= MAX_WINDOW - (self._window if call is None else call.lead.window):
            return False
        if call is None:
            self._window += by
        else:
            call.lead.widen(by)
        self.drain()
        return True

    def take_payloads(self, most: int) -> None:
        """The largest payload of a frame that the client takes."""
        self._most_payload = min(most, _MOST_PAYLOAD_BYTES)

    def resume(self) -> None:
        """The socket takes more."""
        self.blocked = False
        self._unheard_bytes = 0
        self.drain()

    def drain(self) -> None:
        """Send what there is room for of what waits, a frame of each call in turn."""
        moved = bool(self._senders)
        while moved:
            moved = False
            for call in list(self._senders):
                moved = self._send_some(call) or moved
        if self._senders and self._asking is None:
            self._ask()

    def flush(self) -> None:
        """Give the socket what there is."""
        frames, self._frames, self._nbytes = self._frames, [], 0
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))

    def _send_some(self, call: Call) -> bool:
        """Send a frame of what waits of a call; whether there was room."""
        if self.blocked or not call.unsent or call.lead.is_far:
            return False
        part = call.unsent[0]
        size = min(len(part), call.lead.window, self._window, self._most_payload)
        if size <= 0:
            return False
        call.lead.window -= size
        self._window -= size
        self.has_sent = True
        self._frames += (head(size, DATA, 0, call.stream), part[:size])
        if size < len(part):
            call.unsent[0] = part[size:]
        else:
            call.unsent.popleft()
        self._wrote(size)
        if not call.unsent:
            self.forget(call)
            call.sent()
        return True

    def _ask(self) -> None:
        """Have the client tell how far it has read, if a call waits for that.

        Many keep it to themselves until they have something else to send, as the answer to this.
        """
        if any(call.lead.is_far for call in self._senders):
            if not self.blocked:  # else it reads nothing
                self.push(ping())
            self._asking = self._loop.call_later(_ASK_S, self._ask_again)

    def _ask_again(self) -> None:
        self._asking = None
        for call in self._senders:
            call.lead.wait()
        self.drain()

    def _wrote(self, nbytes: int) -> None:
        self._nbytes += nbytes
        if self._nbytes >= FLUSH_BYTES:
            self.has_been_full = True
            self.flush()
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._flush_due = self.has_been_full = False
        self.flush()
