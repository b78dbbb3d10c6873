from libc.stdint cimport uint64_t

from penstock.service.course cimport Course
from penstock.service.entry cimport Entry
from penstock.service.news cimport News
from penstock.wire.codec_time cimport CodecTime


cdef class Results:
    cdef readonly CodecTime codec
    cdef readonly object _context
    cdef readonly News _news
    cdef public Py_ssize_t _writers
    cdef public object _refused

    cdef bint _try_give(self, output, uint64_t inputs_taken) except -1
    cdef object _encode(self, output, uint64_t inputs_taken)


cdef class Passage:
    cdef Course _course
    cdef Entry _feed
    cdef Results _replies
    cdef bint _is_closed
