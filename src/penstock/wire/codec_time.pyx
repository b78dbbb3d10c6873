"""What a call's messages took to be read and written, each of which adds to it. Compiled."""

cimport cython


@cython.final
cdef class CodecTime:
    """Seconds that the service spent between messages and values, in each direction."""
