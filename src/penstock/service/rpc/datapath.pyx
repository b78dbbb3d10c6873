"""Which call a frame of data is for, and whether its client may send it."""

from libc.stdint cimport int64_t, uint32_t

from penstock.service.rpc.flow cimport Flow
from penstock.service.rpc.inflow cimport Taker
from penstock.service.rpc.outbox cimport Outbox

from h2.errors import ErrorCodes

from penstock.service.rpc.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_STREAM,
    MAX_WINDOW,
    PADDED,
    WINDOW_UPDATE,
    unpadded,
    window_update,
)

cdef enum:
    UPDATE_BYTES = 4
cdef int _DATA = DATA, _WINDOW_UPDATE = WINDOW_UPDATE, _PADDED = PADDED, _END_STREAM = END_STREAM
cdef int64_t _MAX_WINDOW = MAX_WINDOW


cdef class DataPath(Taker):
    """A connection's data and windows; all other frames are left to its subclass.

    Of all calls together as much may come as they may each.
    """

    def __init__(self, loop):
        self.calls = {}
        self.outbox = Outbox(loop)
        self._granted = DEFAULT_WINDOW

    def grant_all(self):
        """Have all calls together send as much as can be said."""
        self._use(0)

    def reset(self, call, code=ErrorCodes.CANCEL):
        """End a call of which nothing more is to be said."""
        raise NotImplementedError

    def _is_known(self, stream):
        """Whether a call of that stream has begun, or could have."""
        raise NotImplementedError

    def _take_other(self, kind, flags, stream, payload):
        """Make something of any other frame; whether that cost much."""
        raise NotImplementedError

    def _end_stream(self, stream):
        """Nothing more comes of a call."""
        raise NotImplementedError

    def _break(self, code, why=b""):
        """Say what is wrong with the connection, and end it."""
        raise NotImplementedError

    cdef bint take_frame(self, int kind, int flags, uint32_t stream, bytes payload) except -1:
        cdef Flow call = self.calls.get(stream)
        if not self._within_headers and (call is not None or self._is_known(stream)):
            if kind == _DATA and stream:
                return self._take_data(call, stream, flags, payload)
            if kind == _WINDOW_UPDATE and len(payload) == UPDATE_BYTES:
                return self._widen(call, stream, int.from_bytes(payload, "big") & _MAX_WINDOW)
        return self._take_other(kind, flags, stream, payload)

    cdef int refuse_frame(self) except -1:
        self._break(ErrorCodes.FRAME_SIZE_ERROR)
        return 0

    cdef bint _take_data(self, Flow call, uint32_t stream, int flags, bytes payload) except -1:
        cdef Py_ssize_t size = len(payload)
        self._use(size)
        if call is None:
            return True  # it was under way when its call ended
        if call.half_closed:
            self.reset(call, ErrorCodes.STREAM_CLOSED)
            return True
        if not call.try_spend(size):
            self.reset(call, ErrorCodes.FLOW_CONTROL_ERROR)
            return True
        data = payload
        if flags & _PADDED:
            data = unpadded(payload)
            if data is None:
                self._break(ErrorCodes.PROTOCOL_ERROR)
                return True
        if data:
            call.take(data)
        if flags & _END_STREAM and not call.over:
            self._end_stream(stream)
        return not data

    cdef int _use(self, Py_ssize_t size) except -1:
        cdef int64_t by
        self._granted -= size
        if self._granted < _MAX_WINDOW // 2:
            by = _MAX_WINDOW - self._granted
            self._granted += by
            self.outbox.push(window_update(0, by))
        return 0

    def _widen(self, Flow call, stream, by):
        """A window is wider, or is said to be; whether that is wrong."""
        if (stream and call is None) or self.outbox.widen(by, call):
            return False
        code = ErrorCodes.FLOW_CONTROL_ERROR if by else ErrorCodes.PROTOCOL_ERROR
        if call is None:
            self._break(code)
        else:
            self.reset(call, code)
        return True
