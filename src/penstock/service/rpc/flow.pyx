"""What comes and goes of a call without a wait: compiled, as each chunk of a stream is that.

What has to wait is in ``Call``, whose coroutines can be looked into.
"""

import asyncio
from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from penstock.service.rpc.outbox cimport Outbox, Outflow

import grpc

from penstock.service.rpc.frames import (
    DEFAULT_WINDOW,
    MAX_PAYLOAD_BYTES,
    MAX_WINDOW,
    window_update,
)
from penstock.service.rpc.messages import PREFIX_BYTES, BadMessageError, Packed

AHEAD_BYTES = AHEAD
"""What a client may send of a call that is read, beside the message that is being read."""
ENTRY_BYTES = ENTRY
"""What a message counts for that nobody has read, beside its bytes: many are empty, or nearly."""

cdef enum:
    AHEAD = 4 << 20
    ENTRY = 64
    PREFIX = 5
cdef Py_ssize_t _MAX_PAYLOAD = MAX_PAYLOAD_BYTES
cdef int64_t _MAX_WINDOW = MAX_WINDOW
assert PREFIX_BYTES == PREFIX


cdef class Flow(Outflow):
    """What has come of a call, and nobody has read; what it is granted; what need not wait.

    ``at_once`` is called with each short message where it comes, while somebody waits for one, and
    says whether it has taken it: what it hasn't is read, and what it raises the reader raises.
    """

    def __init__(self, stream, Outbox outbox not None, assembly, *, bint compresses):
        super().__init__(stream, outbox.call_window)
        self._most = assembly.most
        self._outbox = outbox
        self._assembly = assembly
        self._compresses = compresses
        self._messages = deque()
        self._spoken = asyncio.Event()
        self._granted = DEFAULT_WINDOW

    def write_nowait(self, message):
        """As ``write``, where nothing has to wait and others have had their turn; whether so."""
        cdef bint is_free = self._began and self._code is None and not self.over
        if not is_free or self._compresses or self._outbox.has_been_full:
            return False
        return self._outbox.send_nowait(
            self, message if self.encode is None else self.encode(message)
        )

    def half_close(self):
        """Nothing more comes."""
        self._spoken.set()
        self.half_closed = True
        if self._has_begun and self._fault is None:
            said = "the stream ended within a message"
            self._note_fault(grpc.StatusCode.INVALID_ARGUMENT, said)
        self._wake()

    cdef bint try_spend(self, Py_ssize_t nbytes) noexcept:
        """Take so much off its window; whether it was that wide."""
        self._granted -= nbytes
        return self._granted >= 0

    cdef int take(self, bytes data) except -1:
        """What has come."""
        if not self._spoken.is_set():
            self._spoken.set()
        if self._code is not None or self.over or self._fault is not None:
            return 0  # nobody reads it any more, nor is there room for much
        message = None if self._has_begun else self._whole(data)
        if message is None:
            self._take_parts(data)
        elif self._try_take(message):
            self._grant(self._wished())
        else:
            self._keep((message,))
        return 0

    def grant(self):
        """Let come what somebody waits for, and as much ahead of it as may be."""
        self._grant(self._wished())

    def grant_ahead(self):
        """Let come what may while nobody waits for it."""
        self._grant(self._ahead())

    cdef object _whole(self, bytes data):
        """The message that this is, uncompressed and whole, as it mostly is; else None."""
        cdef const unsigned char* first = <const unsigned char*>PyBytes_AS_STRING(data)
        cdef int64_t nbytes = PyBytes_GET_SIZE(data) - PREFIX
        if nbytes < 0 or nbytes > self._most or first[0]:
            return None
        if nbytes != (<int64_t>first[1] << 24 | first[2] << 16 | first[3] << 8 | first[4]):
            return None
        return PyBytes_FromStringAndSize(<const char*>first + PREFIX, nbytes)

    cdef int _take_parts(self, bytes data) except -1:
        """What has come is part of a message, or several, or none."""
        try:
            messages = self._assembly.add(data)
        except BadMessageError as exc:
            messages = exc.before
            self._note_fault(exc.code, str(exc))
        self._has_begun = self._assembly.has_begun
        if len(messages) == 1 and self._try_take(messages[0]):
            self._grant(self._wished())
        elif messages:
            self._keep(messages)
        elif self._is_awaited():
            self._grant(self._wished())
        return 0

    cdef int _keep(self, messages) except -1:
        self._held += sum(map(len, messages)) + len(messages) * ENTRY
        self._messages.extend(messages)
        self._wake()
        return 0

    cdef bint _is_awaited(self) except -1:
        return self._reader is not None and not self._reader.done()

    cdef bint _try_take(self, message) except -1:
        """Hand over an awaited message, which wakes nobody; whether it was taken, or failed."""
        if self.at_once is None or not self._is_awaited():
            return False
        if isinstance(message, Packed) or len(message) > _MAX_PAYLOAD:
            return False
        try:
            return self.at_once(message if self.decode is None else self.decode(message))
        except Exception as exc:  # the reader's, who raises it
            self._reader.set_exception(exc)
            return True

    cdef int64_t _ahead(self) except? -1:
        """What may come while nobody waits for it, beside what has and wasn't read."""
        cdef int64_t left = AHEAD - self._held
        return left - <int64_t>self._assembly.begun_bytes if self._has_begun else left

    cdef int64_t _wished(self) except? -1:
        """The same, and all of the message that has begun."""
        cdef int64_t ahead = self._ahead()
        return max(ahead, <int64_t>self._assembly.missing) if self._has_begun else max(ahead, 0)

    cdef int _grant(self, int64_t wished) except -1:
        """Have so much on its way, or more, as far as can be said; a little less is no matter."""
        cdef int64_t lacking = min(wished, _MAX_WINDOW) - self._granted
        if lacking > 0 and lacking >= min(wished, <int64_t>AHEAD // 2) and not self.half_closed:
            self._granted += lacking
            self._outbox.push(window_update(self.stream, lacking))
        return 0

    def _wake(self):
        if self._is_awaited():
            self._reader.set_result(None)

    def _note_fault(self, code, str message):
        """What is wrong with what has come: told when somebody comes to read it."""
        self._fault = code, message
        self._wake()
