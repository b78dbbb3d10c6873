"""Waits on many descriptors at once, with or without an event loop around it.

A node's process blocks in ``poll``. An asyncio loop waits in ``serve``, where it can be made to
(``ReactorLoop``); any other adds ``fileno()`` to what it waits on and calls ``poll_batch`` when it
is readable: an epoll descriptor can itself be waited on.
"""

import os
from collections import deque

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc

from penstock.executors.multiprocess.transport.clock cimport now_ns

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        int fd
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLLIN, EPOLLOUT, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CLOEXEC
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)

cdef enum:
    READY_AT_ONCE = 64
    POLLS_OF_A_BATCH = 64
    NS_PER_MS = 1_000_000
    MOST_S = 1_000_000  # of a wait
    FOR_EVER = 0  # as a time of ``now_ns``
    NEVER_WAIT = -1


cdef class Watcher:
    """What a reactor calls when a descriptor is ready."""

    cdef int ready(self, uint32_t events) except -1:
        raise NotImplementedError


cdef class Bell(Watcher):
    """Tells a lane's ``end`` that there is something in a ring that was empty: nobody reads it."""

    cdef int ready(self, uint32_t events) except -1:
        self.end.on_change()
        return 0


cdef class _Handler(Watcher):
    """Calls a Python function with the epoll event mask."""

    cdef object _handler

    def __init__(self, handler):
        self._handler = handler

    cdef int ready(self, uint32_t events) except -1:
        self._handler(events)
        return 0


cdef class Reactor:
    """An epoll set with a handler for each descriptor; for one thread, but for ``defer``.

    ``watched`` says that an event loop waits on it and has to be told of every chore;
    otherwise its owner comes back to ``poll`` by itself, and only one that waits is woken.
    ``frame`` is where its ports read into: what arrives is dealt with before the next is read.
    With ``epoll`` the set is that of an event loop, which has descriptors of its own in it.
    ``callbacks`` are those that this loop has to call next: while there are some, nobody waits.
    ``looks`` says that the loop has to look how long it may wait: a timer has been set, perhaps.
    ``handled_ns`` is the time that handlers, and the chores after them, have taken so far.
    ``on_error`` gets what a handler or a chore raises; with None, whoever polls does.
    """

    def __cinit__(self):
        self.frame = <unsigned char*>malloc(FRAME_BUFFER)
        if self.frame == NULL:
            raise MemoryError

    def __init__(self, *, bint watched=False, epoll=None):
        self.watched = watched
        self.callbacks = ()
        self.looks = False
        self.handled_ns = 0
        self._is_loops = epoll is not None
        self.on_error = None
        self._others = None
        self._waiting = False
        self._watchers = {}
        self._chores = deque()
        self._epoll = epoll_create1(EPOLL_CLOEXEC) if epoll is None else os.dup(epoll)
        if self._epoll < 0:
            PyErr_SetFromErrno(OSError)
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.register(self._bell, self._rung)

    def __dealloc__(self):
        free(self.frame)

    def fileno(self):
        return self._epoll

    def register(self, int fd, handler, uint32_t events=EPOLLIN):
        """Call ``handler`` with the epoll event mask whenever ``fd`` is ready."""
        self.watch(fd, _Handler(handler), events)

    cdef int watch(self, int fd, Watcher watcher, uint32_t events) except -1:
        cdef epoll_event event
        event.events = events
        event.data.fd = fd
        if epoll_ctl(self._epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            PyErr_SetFromErrno(OSError)
        self._watchers[fd] = watcher
        return 0

    cdef int rewatch(self, int fd, uint32_t events) except -1:
        cdef epoll_event event
        event.events = events
        event.data.fd = fd
        if epoll_ctl(self._epoll, EPOLL_CTL_MOD, fd, &event) < 0:
            PyErr_SetFromErrno(OSError)
        return 0

    cpdef unregister(self, int fd):
        cdef epoll_event unused
        if self._watchers.pop(fd, None) is not None:
            if epoll_ctl(self._epoll, EPOLL_CTL_DEL, fd, &unused) < 0:
                PyErr_SetFromErrno(OSError)

    cpdef int poll(self, timeout_s) except -1:
        """Do the chores, wait until something is ready (None: however long), handle it.

        Gives the number of descriptors that were ready.
        """
        return self._poll(_until(timeout_s))

    cdef int _poll(self, int64_t until) except -1:
        cdef epoll_event[READY_AT_ONCE] events
        cdef int64_t woke_ns
        cdef int count
        self._waiting = True  # from here on a chore rings the bell
        if self._chores:
            self._do_chores()
        count = self._wait(NEVER_WAIT if self.callbacks or self.looks else until, events)
        self._waiting = False
        woke_ns = now_ns()
        self._handle(events, count)
        if self._chores:
            self._do_chores()
        self.handled_ns += now_ns() - woke_ns
        return count

    def serve(self, timeout_s):
        """Handle what is ready until it is the event loop's turn, or the time is up.

        Gives its descriptors that are ready, each with the epoll event mask.
        """
        cdef list found = []
        cdef int64_t until = _until(timeout_s)
        self._others = found
        self.looks = False
        try:
            while True:
                self._poll(until)
                if found or self.callbacks or self.looks or until and now_ns() >= until:
                    return found
        finally:
            self._others = None

    def poll_batch(self):
        """Handle what is ready now, again and again within reason: one turn of a busy loop."""
        for _ in range(POLLS_OF_A_BATCH):
            if not self.poll(0):
                return

    cpdef defer(self, chore):
        """Have ``poll`` do this; may be called from any thread, in a destructor too."""
        self._chores.append(chore)
        if (self._waiting or self.watched) and self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def close(self):
        """Forget all descriptors; they stay open."""
        cdef int bell = self._bell
        self._bell = -1
        self._watchers.clear()
        os.close(self._epoll)
        os.close(bell)

    def _rung(self, _events):
        os.eventfd_read(self._bell)

    cdef int _wait(self, int64_t until, void* events) except -1:
        """Waiting lets other threads run; looking does not, since that takes longer."""
        cdef int64_t left_ns
        cdef int count, timeout_ms = -1
        if until == NEVER_WAIT:
            return self._look(events)
        while True:
            if until != FOR_EVER:
                left_ns = until - now_ns()
                timeout_ms = max(left_ns + NS_PER_MS - 1, 0) // NS_PER_MS
            with nogil:
                count = epoll_wait(self._epoll, <epoll_event*>events, READY_AT_ONCE, timeout_ms)
            if count >= 0:
                return count
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)
            PyErr_CheckSignals()

    cdef int _look(self, void* events) except -1:
        """What is ready now; a loop that only looks lets other threads run all the same."""
        cdef int count
        if self._is_loops:
            with nogil:
                count = epoll_wait(self._epoll, <epoll_event*>events, READY_AT_ONCE, 0)
        else:
            count = epoll_wait(self._epoll, <epoll_event*>events, READY_AT_ONCE, 0)
        if count < 0 and errno != EINTR:
            PyErr_SetFromErrno(OSError)
        return max(count, 0)

    cdef int _handle(self, void* events, int count) except -1:
        """What one watcher raises must not cost the others theirs: some are told only once."""
        cdef epoll_event* event = <epoll_event*>events
        cdef Watcher watcher
        while count > 0:
            count -= 1
            watcher = self._watchers.get(event.data.fd)
            try:
                if watcher is not None:
                    watcher.ready(event.events)
                elif self._others is not None:  # or one handled before it has closed it
                    self._others.append((event.data.fd, event.events))
            except BaseException as exc:
                self._handle(event + 1, count)
                self._failed(exc)
                return 0
            event += 1
        return 0

    cdef int _do_chores(self) except -1:
        while self._chores:
            try:
                self._chores.popleft()()
            except BaseException as exc:
                self._failed(exc)
        return 0

    cdef int _failed(self, error) except -1:
        if self.on_error is None or isinstance(error, (SystemExit, KeyboardInterrupt)):
            raise error
        self.on_error(error)
        return 0


cdef int64_t _until(timeout_s) except? -1:
    """When so many seconds are over (None: never), by ``now_ns``."""
    if timeout_s is None:
        return FOR_EVER
    return NEVER_WAIT if timeout_s == 0 else now_ns() + <int64_t>(min(timeout_s, MOST_S) * 1e9)
