"""The numbers that a client gives its chunks, and what follows from one to the next. Pure; compiled."""

cimport cython
from libc.stdint cimport uint64_t

from penstock.errors import SequenceError


cdef enum:
    ROOM = 1 << 20  # for the names of sources, by their characters and ENTRY: thousands of them
    ENTRY = 64


@cython.final
cdef class Numbering:
    """Refuses gaps and repeats where a client numbers its chunks.

    It may number none (all are zero), or one up with each chunk, through the whole stream or
    through those of each source; the first may have any number. What a client does is seen from
    what it has sent so far: a chunk is refused when none of the three is left. Who names more
    sources than any pipeline has is not taken to count by them.
    """

    def __cinit__(self):
        self._is_silent = self._by_stream = self._by_source = True
        self._in_source = {}
        self._room = ROOM

    cpdef object take(self, uint64_t sequence, sources):
        """The number of a chunk that goes to ``sources``; None: one up, as it has none.

        Raises ``SequenceError`` for one that does not follow those before it.
        """
        cdef dict before = self._in_source
        cdef bint is_first = False
        cdef bint is_silent = self._is_silent and sequence == 0
        cdef bint by_stream = self._by_stream and _follows(sequence, self._in_stream)
        cdef bint by_source = self._by_source
        cdef object number = sequence
        for name in sources:
            last = before.get(name)
            is_first = is_first or last is None
            by_source = by_source and _follows(sequence, last)
        if not (is_silent or by_stream or by_source):
            raise SequenceError(found=sequence, expected=self._expected(sequence, sources))
        self._is_silent, self._by_stream, self._by_source = is_silent, by_stream, by_source
        self._in_stream = number
        if by_source:
            self._note(sources, number)
        return number if sequence or (is_first and (by_stream or by_source)) else None

    cdef int _note(self, sources, number) except -1:
        """Names are the client's to choose, and those of what is given up stand for no node."""
        cdef dict before = self._in_source
        for name in sources:
            if name not in before:
                self._room -= len(name) + ENTRY
            before[name] = number
        if self._room < 0:
            self._by_source = False
            before.clear()
        return 0

    def _expected(self, found, sources):
        expected = {0} if self._is_silent else set()
        if self._by_stream:
            expected.add(found if self._in_stream is None else self._in_stream + 1)
        if self._by_source:
            expected |= {self._in_source.get(name, found - 1) + 1 for name in sources}
        return sorted(expected)


cdef bint _follows(uint64_t sequence, last) except -1:
    """Whether it is one up from the last, or there is none."""
    return last is None or (sequence and <uint64_t>last == sequence - 1)
