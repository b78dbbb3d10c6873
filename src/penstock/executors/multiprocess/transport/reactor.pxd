from libc.stdint cimport int64_t, uint32_t

cdef enum:
    FRAME_BUFFER = 128 << 10  # below the kernel's default send buffer


cdef class Watcher:
    cdef int ready(self, uint32_t events) except -1


cdef class Bell(Watcher):
    cdef object end


cdef class Reactor:
    cdef public bint watched
    cdef public object callbacks
    cdef public bint looks
    cdef readonly int64_t handled_ns
    cdef bint _is_loops
    cdef public object on_error
    cdef list _others
    cdef bint _waiting
    cdef unsigned char* frame
    cdef int _epoll
    cdef int _bell
    cdef dict _watchers
    cdef object _chores

    cdef int watch(self, int fd, Watcher watcher, uint32_t events) except -1
    cdef int rewatch(self, int fd, uint32_t events) except -1
    cpdef unregister(self, int fd)
    cpdef int poll(self, timeout_s) except -1
    cpdef defer(self, chore)
    cdef int _poll(self, int64_t until) except -1
    cdef int _wait(self, int64_t until, void* events) except -1
    cdef int _look(self, void* events) except -1
    cdef int _handle(self, void* events, int count) except -1
    cdef int _do_chores(self) except -1
    cdef int _failed(self, error) except -1
