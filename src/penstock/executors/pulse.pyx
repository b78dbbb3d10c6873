"""What a node shows of its calls while they go on: two stores for each."""

from contextlib import contextmanager

from libc.stdint cimport uint64_t

from penstock.executors.multiprocess.transport.clock cimport now_ns

cdef extern from "multiprocess/transport/atomics.h" nogil:
    void store_release(uint64_t* at, uint64_t value)

METHODS = ("", "setup", "process", "produce", "flush", "teardown", "interrupt")
"""Those that it tells of, by their numbers."""


cdef class Pulse:
    """One node's words on the page of its process, which it writes as it runs.

    ``words`` are those of the page; the node's two begin at ``at``.
    """

    def __init__(self, words, Py_ssize_t at):
        cdef uint64_t[::1] page = words
        self.page = words
        self.at = at
        self._method = &page[at]
        self._began = &page[at + 1]

    def enter(self, method):
        """The calls that follow are of this method; none goes on now."""
        self.show(0)
        store_release(self._method, METHODS.index(method))

    def begin(self, uint64_t now_ns):
        """A call begins."""
        self.show(now_ns)

    def end(self, uint64_t began_ns):
        """The call that began then is over."""
        self.show(0)

    @contextmanager
    def during(self, method):
        """One call of a method."""
        started = now_ns()
        self.enter(method)
        self.begin(started)
        try:
            yield
        finally:
            self.end(started)

    cpdef void show(self, uint64_t since_ns) noexcept:
        """A call goes on since then; none does with 0."""
        store_release(self._began, since_ns)
