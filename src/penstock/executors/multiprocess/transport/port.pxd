from libc.stdint cimport uint32_t

from penstock.executors.multiprocess.transport.reactor cimport Reactor, Watcher


cdef class Port(Watcher):
    cdef Reactor _reactor
    cdef object _sock
    cdef int _fd
    cdef size_t _frame_bytes
    cdef object _outbox
    cdef bint _gone

    cdef int arrived(self, bytes frame, list descriptors) except -1
    cdef int departed(self) except -1
    cdef int refused(self, object error) except -1
    cdef int emptied(self) except -1
    cdef bint read(self) except -1
    cdef bint _sent(self, const void* frame, size_t nbytes, object descriptors) except -1
    cdef int _keep(self, bytes frame, object descriptors) except -1
    cdef int _flush(self) except -1
    cdef int _end(self) except -1


cdef class LanePort(Port):
    cdef public object on_broken
    cdef str _name
    cdef bint _broken

    cdef int _break(self, object error) except -1
