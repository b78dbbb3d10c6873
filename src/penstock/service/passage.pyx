"""What a stream's chunks and results go through where nothing has to wait, between call and session.

It is compiled, as most do. What waits is left to the tasks of the stream.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from penstock.executors.multiprocess.transport.clock cimport now_ns
from penstock.service.chunks cimport chunk_of
from penstock.service.course cimport Course
from penstock.service.entry cimport Entry
from penstock.service.news cimport News
from penstock.wire.codec_time cimport CodecTime
from penstock.wire.speech cimport write_speech

from penstock.wire.parsing import Malformed

cdef object _Malformed = Malformed


cdef class Results:
    """The part of ``Replies`` that never waits."""

    def __init__(self, context):
        self.codec = CodecTime()
        self._context = context
        self._news = News()

    def _encoded(self, output, uint64_t inputs_taken):
        """The message with a session's output; raises ``NodeError`` for one that can't be sent."""
        return self._encode(output, inputs_taken)

    cdef bint _try_give(self, output, uint64_t inputs_taken) except -1:
        """Send an output, unless something has to wait, or waits already; whether it is sent.

        What was encoded is kept for ``result``, where the output is its next one.
        """
        if self._writers or self._news._is_waiting():
            return False
        encoded = self._encode(output, inputs_taken)
        if self._context.write_nowait(encoded):
            return True
        self._refused = output, encoded
        return False

    cdef object _encode(self, output, uint64_t inputs_taken):
        cdef int64_t started = now_ns()
        speech = write_speech(output, inputs_taken)
        if speech is None:
            return self._in_full(output, inputs_taken)
        self.codec.encoding_s += (now_ns() - started) / 1e9
        return speech


@cython.final
cdef class Passage:
    """Takes requests, and gives outputs, at once: what it doesn't say it has is for a task."""

    def __init__(self, Course course not None, Entry feed not None, Results replies not None):
        self._course = course
        self._feed = feed
        self._replies = replies

    def take(self, request):
        """Take a chunk that need not wait, and nothing else; whether that was so.

        What comes once this is closed is let go of.
        """
        if type(request) is _Malformed:
            return False
        if self._is_closed:
            return True
        if not self._feed._is_free():
            return False
        chunk = chunk_of(request)
        if chunk is None:
            return False
        self._course._advance()
        if self._course._is_stale():
            self._feed._pass_over(chunk)
        else:
            self._feed._put(chunk, request.payload)
        return True

    def give(self, output):
        """Send an output, where nothing has to wait, nor waits already; whether that was so."""
        if not self._replies._try_give(output, self._feed.taken):
            return False
        self._feed._move()
        return True

    def close(self):
        """All is over."""
        self._is_closed = True
