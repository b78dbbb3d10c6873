from libc.stdint cimport uint64_t


cdef class SpeechRequest:
    cdef readonly str kind
    cdef readonly str node_id
    cdef readonly uint64_t sequence
    cdef readonly uint64_t timestamp_ms
    cdef readonly object value


cpdef SpeechRequest read_speech(bytes data)
cpdef bytes write_speech(output, uint64_t total_items)
