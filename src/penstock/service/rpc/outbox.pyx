"""What goes to a client: within its windows, in turns, and once in each turn of the loop.

Compiled, as is all that a chunk of a stream comes by: see ``inflow`` and ``flow``.
"""

from collections import deque

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t

from penstock.service.rpc.lead cimport Lead

from penstock.service.rpc.frames import (
    DATA,
    DEFAULT_WINDOW,
    HEAD_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_WINDOW,
    ping,
)

FLUSH_BYTES = FLUSHED
"""So much isn't kept for the end of the loop's turn, nor given to a socket that takes no more."""
_MOST_UNHEARD_BYTES = 1 << 20
"""Who doesn't read may be told so much, beside messages; who asks for more is no client."""

cdef enum:
    FLUSHED = 64 << 10
    MOST_PAYLOAD = 64 << 10  # of a frame, where the client takes that: others have their turns
    HEAD = 9
    PREFIX = 5
    MOST_MESSAGE = 0xFFFF_FFFF  # bytes, as its prefix says how many they are
cdef int64_t _MAX_WINDOW = MAX_WINDOW
assert HEAD_BYTES == HEAD and DATA == 0


cdef class Outflow:
    """What goes of one call; messages that there is no room for wait in ``unsent``."""

    def __init__(self, uint32_t stream, int64_t window):
        self.stream = stream
        self.lead = Lead(window)
        self.unsent = deque()

    def sent(self):
        """All that was unsent has been sent."""
        raise NotImplementedError


@cython.final
cdef class Outbox:
    """One connection's frames on their way out.

    ``blocked`` says that its socket takes no more for now, ``has_been_full`` that there was much in
    this turn of the loop, ``has_sent`` that a call has been sent something since that was looked
    at. Messages that have no room wait with their calls. ``call_window`` is what calls begin with.
    """

    def __init__(self, loop):
        self.call_window = self._window = DEFAULT_WINDOW
        self._most_payload = MAX_PAYLOAD_BYTES
        self._senders = {}
        self._frames = []
        self._loop = loop

    def open(self, transport):
        """From now on there is somewhere to send to."""
        transport.set_write_buffer_limits(high=FLUSHED)
        self._transport = transport

    def close(self):
        """Nobody is there any more."""
        self._transport = None
        self._senders.clear()
        self._frames.clear()
        if self._asking is not None:
            self._asking.cancel()

    cpdef int push(self, bytes frames) except -1:
        """Send what needs no room."""
        if not frames:
            return 0
        if self.blocked:
            self._unheard_bytes += len(frames)
            if self._unheard_bytes > _MOST_UNHEARD_BYTES and self._transport is not None:
                self._transport.abort()
                self._transport = None
        self._frames.append(frames)
        return self._wrote(len(frames))

    cpdef bint send_nowait(self, Outflow call, bytes data, bint is_packed=False) except -1:
        """Send a message where there is room for it in one frame; whether that was so."""
        cdef int64_t size = PREFIX + PyBytes_GET_SIZE(data)
        cdef Lead lead = call.lead
        if call.unsent:
            return False
        lead.allow(size)
        if (
            size > lead.window
            or size > self._window
            or size > self._most_payload
            or self.blocked
            or lead.far()
        ):
            return False
        lead.count(size)
        lead.spend(size)
        self._window -= size
        self.has_sent = True
        self._frames.append(_head(size, call.stream, size - PREFIX, is_packed))
        self._frames.append(data)
        self._wrote(size)
        return True

    cpdef bint send(self, Outflow call, bytes data, bint is_packed=False) except -1:
        """Send a message; whether all of it is on its way, or has to wait for room."""
        cdef bytes prefix
        if len(data) > MOST_MESSAGE:
            raise ValueError(f"a message has at most {MOST_MESSAGE} bytes, got {len(data)}")
        if self.send_nowait(call, data, is_packed):
            return True
        call.lead.count(PREFIX + len(data))
        prefix = _head(0, 0, len(data), is_packed)[HEAD:]
        call.unsent.append(memoryview(prefix))
        if data:
            call.unsent.append(memoryview(data))
        self._senders[call] = None
        self.drain()
        return not call.unsent

    cpdef int forget(self, Outflow call) except -1:
        """Nothing of a call is to be sent any more."""
        self._senders.pop(call, None)
        return 0

    cpdef bint widen(self, int64_t by, Outflow call) except -1:
        """A window is wider, a call's or (None) that of all together; whether it can be."""
        cdef int64_t window = self._window if call is None else call.lead.window
        if not 0 < by <= _MAX_WINDOW - window:
            return False
        if call is None:
            self._window += by
        else:
            call.lead.widen(by)
        if self._senders:
            self.drain()
        return True

    def ask_anew(self, Outflow call not None):
        """Have a call's client tell soon how far it has read, however slowly it did so far."""
        call.lead.ask_anew()
        self._ask()

    def take_payloads(self, int64_t most):
        """The largest payload of a frame that the client takes."""
        self._most_payload = min(most, <int64_t>MOST_PAYLOAD)

    def resume(self):
        """The socket takes more."""
        self.blocked = False
        self._unheard_bytes = 0
        self.drain()

    cpdef int drain(self) except -1:
        """Send what there is room for of what waits, a frame of each call in turn."""
        cdef bint moved = bool(self._senders)
        while moved:
            moved = False
            for call in list(self._senders):
                moved = self._send_some(call) or moved
        if self._senders:
            self._ask()
        return 0

    cpdef int flush(self) except -1:
        """Give the socket what there is."""
        frames, self._frames, self._nbytes = self._frames, [], 0
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))
        return 0

    cdef bint _send_some(self, Outflow call) except -1:
        """Send a frame of what waits of a call; whether there was room."""
        cdef int64_t size
        if self.blocked or not call.unsent or call.lead.far():
            return False
        part = call.unsent[0]
        size = min(<int64_t>len(part), call.lead.window, self._window, self._most_payload)
        if size <= 0:
            return False
        call.lead.spend(size)
        self._window -= size
        self.has_sent = True
        self._frames.append(_head(size, call.stream, 0, False)[:HEAD])
        self._frames.append(part[:size])
        if size < len(part):
            call.unsent[0] = part[size:]
        else:
            call.unsent.popleft()
        self._wrote(size)
        if not call.unsent:
            self.forget(call)
            call.sent()
        return True

    cdef int _ask(self) except -1:
        """Have the client tell how far it has read, if a call waits for that.

        Many keep it to themselves until they have something else to send, as the answer to this.
        """
        cdef double now = self._loop.time(), pause_s = -1.0
        cdef bint is_due = self._asking is None
        cdef Outflow call
        for call in self._senders:
            if call.lead.far():
                is_due = call.lead.ask(now) or is_due
                pause_s = call.lead.pause_s if pause_s < 0 else min(pause_s, call.lead.pause_s)
        if pause_s < 0:
            return 0
        if is_due and not self.blocked:  # else it reads nothing
            self.push(ping())
        if self._asking is not None:
            if self._asking.when() <= now + pause_s:
                return 0
            self._asking.cancel()  # one has told much meanwhile, or is far since then
        self._asking = self._loop.call_later(pause_s, self._ask_again)
        return 0

    def _ask_again(self):
        cdef double now = self._loop.time()
        cdef Outflow call
        self._asking = None
        for call in self._senders:
            call.lead.wait_until(now)
        self.drain()

    cdef int _wrote(self, int64_t nbytes) except -1:
        self._nbytes += nbytes
        if self._nbytes >= FLUSHED:
            self.has_been_full = True
            self.flush()
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._end_turn)
        return 0

    def _end_turn(self):
        self._flush_due = self.has_been_full = False
        self.flush()


cdef bytes _head(int64_t size, uint32_t stream, uint32_t nbytes, bint is_packed):
    """The head of a frame of data of ``size`` bytes, and what is before a message of ``nbytes``."""
    cdef unsigned char[HEAD + PREFIX] head
    cdef int i
    for i in range(3):
        head[i] = size >> 8 * (2 - i) & 0xFF
    head[3] = head[4] = 0
    for i in range(4):
        head[5 + i] = stream >> 8 * (3 - i) & 0xFF
        head[10 + i] = nbytes >> 8 * (3 - i) & 0xFF
    head[HEAD] = is_packed
    return PyBytes_FromStringAndSize(<char*>head, HEAD + PREFIX)
