"""What comes from a client, cut into frames: some of one connection, then some of others.

Compiled: each chunk of a stream comes by here, and by what takes its frame (``datapath``).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t

from penstock.executors.multiprocess.transport.clock cimport now_ns

from penstock.service.rpc.frames import HEAD_BYTES, HEADERS, MAX_PAYLOAD_BYTES

cdef enum:
    HEAD = 9
    SPELL = 256  # how many frames are taken before others have their turn
    COSTLY = 16  # one that costs much counts as so many
    SPELL_NS = 2_000_000  # nor are more taken at once when those before have taken so long
cdef int _HEADERS = HEADERS
cdef Py_ssize_t _MAX_PAYLOAD = MAX_PAYLOAD_BYTES
assert HEAD_BYTES == HEAD


cdef inline Head _parsed(const unsigned char* at) noexcept:
    """A head that begins there (RFC 9113, section 4.1)."""
    cdef Head head
    head.size = at[0] << 16 | at[1] << 8 | at[2]
    head.kind = at[3]
    head.flags = at[4]
    head.stream = (<uint32_t>at[5] & 0x7F) << 24 | at[6] << 16 | at[7] << 8 | at[8]
    return head


cdef class Taker:
    """Makes something of whole frames."""

    cdef bint take_frame(self, int kind, int flags, uint32_t stream, bytes payload) except -1:
        """Take one; whether it cost much."""
        raise NotImplementedError

    cdef int refuse_frame(self) except -1:
        """One is larger than may be."""
        raise NotImplementedError


@cython.final
cdef class Inflow:
    """Gives whole frames to its ``taker``.

    Nothing is taken before ``wait_until``, in the loop's time, nor after ``close``; headers,
    with which calls begin, are as the ``turnstile`` lets them through.
    """

    def __init__(self, loop, turnstile, Taker taker not None):
        self._loop = loop
        self._turnstile = turnstile
        self._taker = taker
        self._rest = b""

    def open(self, transport):
        """From now on frames come from there."""
        self._transport = transport

    def close(self):
        """Nothing more is of interest."""
        self._transport = None
        self._taker = None  # no cycle is left to be collected
        self._rest = b""
        if self._going_on is not None:
            self._going_on.cancel()

    cpdef int add(self, bytes data) except -1:
        """Something has come."""
        cdef const unsigned char* first = <const unsigned char*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t at, end = PyBytes_GET_SIZE(data), stop
        cdef int64_t until
        cdef int spent = 0
        cdef Head head
        if self._waits:  # it was under way when its client was to wait
            self._rest += data
            return 0
        at = self._complete(data) if self._rest else 0
        until = now_ns() + SPELL_NS
        while end - at >= HEAD and self._transport is not None:
            head = _parsed(first + at)
            stop = at + HEAD + head.size
            if head.size > _MAX_PAYLOAD:
                self._refuse()
                break
            if stop > end:
                break
            if head.kind == _HEADERS and self._holds_back(data, at):
                return 0
            spent += COSTLY if self._given(head, first + at + HEAD) else 1
            at = stop
            if spent >= SPELL or (at < end and now_ns() >= until):
                return self._pause(data[at:])
        if at < end and self._transport is not None:
            self._rest = data[at:]
        if not self._waits:
            wait_s = self._wait_s()
            if wait_s > 0:
                self._pause(self._rest, wait_s)
        return 0

    cdef bint _given(self, Head head, const unsigned char* payload) except -1:
        """Have a frame taken, while any is of interest; whether it cost much."""
        cdef Taker taker = self._taker  # which it may let go of, as this is taken
        if taker is None:
            return False
        return taker.take_frame(
            head.kind, head.flags, head.stream,
            PyBytes_FromStringAndSize(<const char*>payload, head.size),
        )

    cdef int _refuse(self) except -1:
        cdef Taker taker = self._taker
        if taker is not None:
            taker.refuse_frame()
        return 0

    cdef Py_ssize_t _complete(self, bytes data) except -1:
        """Take the frame of which part was here, if all of it is; how much of what came it was."""
        cdef bytes rest = self._rest
        cdef bytes whole = rest + data[: HEAD + _MAX_PAYLOAD]
        cdef const unsigned char* first = <const unsigned char*>PyBytes_AS_STRING(whole)
        cdef Py_ssize_t stop
        cdef Head head
        if PyBytes_GET_SIZE(whole) >= HEAD:
            head = _parsed(first)
            stop = HEAD + head.size
            if head.size > _MAX_PAYLOAD:
                self._refuse()
                return len(data)
            if stop <= PyBytes_GET_SIZE(whole):
                self._rest = b""
                if head.kind == _HEADERS and self._holds_back(rest + data, 0):
                    return len(data)
                self._given(head, first + HEAD)
                return stop - len(rest)
        self._rest = rest + data
        return len(data)

    cdef double _wait_s(self) except? -1:
        """How long nothing is to be taken."""
        return self.wait_until - self._loop.time() if self.wait_until else 0.0

    cdef bint _holds_back(self, bytes data, Py_ssize_t at) except -1:
        """Take no headers there before they may be; whether that is later."""
        cdef double wait_s = self._wait_s()
        if wait_s > 0:
            self._pause(data[at:], wait_s)
            return True
        if self._may_begin():
            return False
        self._await_turn(data[at:])
        return True

    cdef bint _may_begin(self) except -1:
        """Whether headers may be taken now."""
        is_let_through, self._is_let_through = self._is_let_through, False
        return is_let_through or self._turnstile.admits()

    cdef int _pause(self, bytes rest, double wait_s=0.0) except -1:
        """Let others have their turn, before any more of this is taken."""
        if self._hold(rest):
            self._going_on = self._loop.call_later(wait_s, self._go_on)
        return 0

    cdef int _await_turn(self, bytes rest) except -1:
        """Take no more before a call may be begun."""
        if self._hold(rest):
            self._turnstile.wait(self._pass_through)
        return 0

    cdef bint _hold(self, bytes rest) except -1:
        """Keep what is here, and read no more for now; False where nothing is of interest."""
        self._rest = rest
        if self._transport is None:
            return False
        self._waits = True
        self._transport.pause_reading()
        return True

    def _pass_through(self):
        self._is_let_through = True
        self._go_on()

    def _go_on(self):
        self._waits, self._going_on = False, None
        rest, self._rest = self._rest, b""
        self.add(rest)
        if not self._waits and self._transport is not None:
            self._transport.resume_reading()
