cdef class CodecTime:
    cdef public double decoding_s
    cdef public double encoding_s
