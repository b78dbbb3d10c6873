from libc.stdint cimport int64_t

cdef enum:
    LEAD_MESSAGES = 8  # the latest so many may be under way, however long they are


cdef class Lead:
    cdef readonly int64_t window
    cdef int64_t _top
    cdef int64_t _first
    cdef int64_t _most
    cdef int64_t _lenience
    cdef int64_t[LEAD_MESSAGES] _latest
    cdef int64_t _in_latest
    cdef int _at
    cdef bint _has_told
    cdef bint _reads_on
    cdef int64_t _told
    cdef double _asked_s
    cdef double _silent_s
    cdef double _asked_at

    cdef bint far(self) noexcept
    cdef bint ask(self, double now) noexcept
    cdef int wait_until(self, double now) except -1
    cpdef void spend(self, int64_t size) noexcept
    cpdef void allow(self, int64_t size) noexcept
    cpdef void count(self, int64_t size) noexcept
    cpdef void ask_anew(self) noexcept
    cpdef void widen(self, int64_t by) noexcept
