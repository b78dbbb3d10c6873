"""How an input gets into its session where nothing has to wait: its place, its limits, its way.

It is compiled, as each chunk of a real-time stream comes by; what waits is in ``Feed``, ``Inbox``
and ``CallLimits``, which are made of this.
"""

from libc.stdint cimport uint64_t

from penstock.data.payloads cimport payload_bytes
from penstock.executors.multiprocess.transport.clock cimport now_ns
from penstock.service.chunks cimport Inputs, decode_chunk, parts_of, sources_of
from penstock.service.numbering cimport Numbering
from penstock.wire.codec_time cimport CodecTime

from collections import deque

from penstock.data import Audio
from penstock.errors import InputError, ResourceLimitError

cdef object _Audio = Audio
REFUSED = (InputError, ResourceLimitError)
"""What an input is refused with, and its number noted in."""


cdef class InputLimits:
    """What a call's inputs may have together: ``max_samples`` of audio (0: any number)."""

    def __init__(self, uint64_t max_samples):
        self._max_samples = max_samples

    def check(self, value, uint64_t largest):
        """See whether an input may be sent; a message of the session may have ``largest`` bytes.

        Those are ``payload_bytes``, as in shared memory. Raises ``ResourceLimitError`` for one that
        has more, and beyond ``max_audio_samples``.
        """
        self._check(value, largest)

    def count(self, value):
        """An input has been sent."""
        self._count(value)

    cdef int _check(self, value, uint64_t largest) except -1:
        cdef uint64_t nbytes = payload_bytes(value)
        cdef uint64_t limit = self._max_samples
        if nbytes > largest:
            raise ResourceLimitError(
                "max_message_bytes", wished=nbytes, free=largest, limit=largest
            )
        if limit and self._samples + _samples_of(value) > limit:
            wished, free = _samples_of(value), limit - self._samples
            raise ResourceLimitError("max_audio_samples", wished=wished, free=free, limit=limit)
        return 0

    cdef int _count(self, value) except -1:
        if self._max_samples:
            self._samples += _samples_of(value)
        return 0


cdef uint64_t _samples_of(value) except? 0:
    return value.samples.size if type(value) is _Audio else 0


cdef class Box:
    """The part of an ``Inbox`` that a chunk passes by where nothing has to wait.

    ``turn`` counts how often it was cleared: who has something that came before can tell.
    """

    def __cinit__(self):
        self._chunks = deque()

    @property
    def is_empty(self):
        """Whether nothing waits."""
        return self._is_empty()

    @property
    def is_passable(self):
        """Whether a chunk may go past it: nothing is here, and the taker waits.

        Raises ``InputError`` after the end.
        """
        return self._lets_pass()

    def _check(self):
        if self.ended:
            raise InputError("a chunk came after CLOSE")

    cdef bint _is_empty(self) except -1:
        return not self._chunks

    cdef bint _lets_pass(self) except -1:
        if self.ended:
            self._check()
        return self._is_taking and self._is_empty()


cdef class Entry:
    """The part of a ``Feed`` that never waits.

    ``taken`` counts what the session has; ``moved_at`` is when something last came, or went, in
    ``time.monotonic``.
    """

    def __init__(
        self,
        InputLimits limits not None,
        Box inbox not None,
        CodecTime codec not None,
        uint64_t largest,
        *,
        bint may_read_files,
    ):
        self._limits = limits
        self._inbox = inbox
        self._codec = codec
        self._largest = largest
        self._may_read_files = may_read_files
        self._numbering = Numbering()
        self._sources = ()
        self._move()

    def touch(self):
        """Something has moved."""
        self._move()

    @property
    def is_free(self):
        """Whether a chunk need not wait: none is ahead of it, and no file may have to be read."""
        return self._is_free()

    def put_nowait(self, chunk, payload):
        """As ``put``, where it ``is_free``."""
        self._put(chunk, payload)

    def skip(self, chunk):
        """Take no more than the number of a chunk; raises ``InputError`` for one that is wrong."""
        self._pass_over(chunk)

    def _numbered(self, chunk, list parts not None):
        """The number of a chunk of these parts, which follows those before it; None: one up."""
        return self._number_of(chunk, parts)

    def _decoded(self, chunk, list parts not None, number, payload):
        """The values of a chunk of these parts."""
        return self._decode(chunk, parts, number, payload)

    def _sent_at_once(self, Inputs inputs not None):
        """Whether the session has taken a chunk, without a wait; one of several values is left."""
        return self._try_send(inputs)

    def _has_taken(self, value):
        """The session has a value."""
        self._count(value)

    def _source(self, node_id):
        """The node that an input is for; raises ``InputError`` where that isn't said, and must be."""
        return self._target(node_id)

    cdef void _move(self) noexcept:
        self.moved_at = now_ns() / 1e9

    cdef bint _is_free(self) except -1:
        return not self._may_read_files and self._inbox._is_empty()

    cdef int _put(self, chunk, payload) except -1:
        cdef list parts = parts_of(chunk)
        cdef Inputs inputs
        cdef bint is_passable
        try:
            inputs = self._decode(chunk, parts, self._number_of(chunk, parts), payload)
            is_passable = self._inbox._lets_pass()
        except REFUSED as exc:
            exc.sequence = chunk.sequence
            raise
        if not (is_passable and self._try_send(inputs)):
            self._move()
            self._inbox.put_nowait(inputs, inputs.nbytes)
        return 0

    cdef int _pass_over(self, chunk) except -1:
        try:
            self._number_of(chunk, parts_of(chunk))
        except InputError as exc:
            exc.sequence = chunk.sequence
            raise
        return 0

    cdef object _number_of(self, chunk, list parts):
        return self._numbering.take(chunk.sequence, sources_of(chunk, parts))

    cdef Inputs _decode(self, chunk, list parts, number, payload):
        cdef Inputs inputs = decode_chunk(chunk, parts, number, self._largest, payload)
        self._codec.decoding_s += (now_ns() - inputs.entered_ns) / 1e9
        return inputs

    cdef bint _try_send(self, Inputs inputs) except -1:
        session, number = self._session, inputs.sequence
        if session is None or len(inputs.values) != 1:
            return False
        node_id, value = inputs.values[0]
        try:
            self._limits._check(value, self._largest)
            used = session.send_nowait(
                self._target(node_id),
                value,
                sequence=number,
                timestamp_us=inputs.timestamp_ms * 1000,
                entered_ns=inputs.entered_ns,
            )
        except REFUSED as exc:
            exc.sequence = number
            raise
        if used is None:
            return False
        self._count(value)
        return True

    cdef int _count(self, value) except -1:
        self._limits._count(value)
        self.taken += 1
        self._move()
        return 0

    cdef object _target(self, node_id):
        cdef tuple sources = self._sources
        if node_id:
            return node_id
        if len(sources) != 1:
            known = f"one of {', '.join(sources)}" if sources else "no chunk: no node takes any"
            raise InputError(f"node_id: expected {known}, got nothing")
        return sources[0]
