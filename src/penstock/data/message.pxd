from libc.stdint cimport int64_t, uint64_t


cdef class Message:
    cdef readonly object value
    cdef readonly uint64_t sequence
    cdef readonly uint64_t part
    cdef readonly int64_t timestamp_us
    cdef readonly uint64_t epoch
    cdef readonly object origin
    cdef readonly int64_t entered_ns


cdef Message new_message(
    object value, uint64_t sequence, uint64_t part, int64_t timestamp_us, uint64_t epoch,
    object origin, int64_t entered_ns,
)
