"""A non-blocking ``SOCK_SEQPACKET`` socket with an outbox, on a reactor."""

import os
import select
import socket
from collections import deque
from time import monotonic

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, ECONNRESET, EINTR, EPIPE, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from penstock.executors.multiprocess.transport.reactor cimport FRAME_BUFFER

from penstock.errors import LaneError
from penstock.executors.multiprocess.limits import shortage
from penstock.executors.multiprocess.transport.frames import close_all

cdef extern from "<sys/epoll.h>" nogil:
    int EPOLLIN, EPOLLOUT

cdef extern from "<sys/socket.h>" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len
    cdef struct msghdr:
        void* msg_name
        int msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    cdef struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    int MSG_NOSIGNAL, MSG_DONTWAIT, MSG_CMSG_CLOEXEC, SOL_SOCKET, SCM_RIGHTS
    ssize_t recvmsg(int fd, msghdr* message, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    ssize_t send(int fd, const void* data, size_t nbytes, int flags)
    cmsghdr* CMSG_FIRSTHDR(msghdr* message)
    cmsghdr* CMSG_NXTHDR(msghdr* message, cmsghdr* control)
    unsigned char* CMSG_DATA(cmsghdr* control)
    size_t CMSG_LEN(size_t nbytes)
    size_t CMSG_SPACE(size_t nbytes)

cdef enum:
    MOST_DESCRIPTORS = 8
    MOST_DRAINED = 4096  # frames; more than a socket holds
    CONTROL_WORDS = 8  # CMSG_SPACE of eight descriptors is 48 bytes


def socket_pair():
    """Two connected ends, closed on exec; ``Port`` makes them non-blocking."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


cdef class Port(Watcher):
    """Sends and receives frames; no call ever blocks.

    A subclass has ``on_frame``, which gets each datagram and the descriptors that came with it
    (to keep or close), and ``on_end``, which is called once when the peer is gone, after
    everything it sent was handed on; or when the system refuses what waited to be sent.
    """

    def __init__(self, sock, Reactor reactor not None, *, size_t frame_bytes=FRAME_BUFFER):
        sock.setblocking(False)
        self._sock = sock
        self._fd = sock.fileno()
        self._reactor = reactor
        self._frame_bytes = min(frame_bytes, <size_t>FRAME_BUFFER)
        self._outbox = deque()
        self._gone = False
        reactor.watch(self._fd, self, EPOLLIN)

    @property
    def waiting(self):
        """Frames that the socket had no room for."""
        return len(self._outbox)

    def send_frame(self, bytes frame not None, descriptors=()):
        """Send the frame, now or when there is room; the descriptors stay the caller's.

        Raises ``OSError`` where the system has no more of what that takes.
        """
        if self._gone:
            return
        if self._outbox or not self._sent(
            PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), descriptors
        ):
            self._keep(frame, descriptors)

    def drain(self):
        """Hand on what has come by now: of a peer that has ended, all that it said."""
        for _ in range(MOST_DRAINED):
            if not self.read():
                return

    def flush(self, double limit_s):
        """Wait for the peer to make room for what waits to be sent, for so long at most."""
        if not self._outbox:
            return
        deadline = monotonic() + limit_s
        room = select.poll()
        room.register(self._fd, select.POLLOUT)
        while self._outbox and (left_s := deadline - monotonic()) > 0:
            if room.poll(left_s * 1000):
                self._flush()

    def on_frame(self, frame, descriptors):
        raise NotImplementedError

    def on_end(self):
        raise NotImplementedError

    def close(self):
        if self._fd >= 0:
            self._reactor.unregister(self._fd)
            self._sock.close()
            self._fd = -1
        self._gone = True
        self._drop_outbox()

    cdef int ready(self, uint32_t events) except -1:
        if events & EPOLLOUT:
            self._flush()
        if events & ~<uint32_t>EPOLLOUT:
            self.read()
        return 0

    cdef int arrived(self, bytes frame, list descriptors) except -1:
        self.on_frame(frame, descriptors)
        return 0

    cdef int departed(self) except -1:
        self.on_end()
        return 0

    cdef int refused(self, object error) except -1:
        """The system doesn't send what waits: the peer would wait for it for ever."""
        self._end()
        return 0

    cdef int emptied(self) except -1:
        """What the socket had no room for has left."""
        return 0

    cdef bint read(self) except -1:
        """Hand on one datagram; whether there was one.

        The reactor comes back while there are more: asking whether there is another costs
        more than being told.
        """
        cdef uint64_t[CONTROL_WORDS] control
        cdef iovec vector
        cdef msghdr message
        cdef ssize_t nbytes
        cdef bytes frame
        if self._gone:
            return False
        vector.iov_base = self._reactor.frame
        vector.iov_len = self._frame_bytes
        memset(&message, 0, sizeof(message))
        message.msg_iov = &vector
        message.msg_iovlen = 1
        message.msg_control = control
        message.msg_controllen = CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))
        nbytes = recvmsg(self._fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
        if nbytes > 0:
            frame = PyBytes_FromStringAndSize(<const char*>self._reactor.frame, nbytes)
            self.arrived(frame, _descriptors(&message))
            return True
        if nbytes == 0:
            self._end()
            return False
        if errno == EAGAIN or errno == EINTR:
            return False
        if errno == ECONNRESET:
            return True  # the peer left something unread; what it sent is still queued
        PyErr_SetFromErrno(OSError)

    cdef bint _sent(self, const void* frame, size_t nbytes, object descriptors) except -1:
        cdef ssize_t sent
        if descriptors:
            sent = _send_with_descriptors(self._fd, frame, nbytes, list(descriptors))
        else:
            sent = send(self._fd, frame, nbytes, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent >= 0 or errno == EPIPE or errno == ECONNRESET:
            return True  # where nobody will read it, reading on tells why
        if errno == EAGAIN or errno == EINTR:
            return False
        PyErr_SetFromErrno(OSError)

    cdef int _keep(self, bytes frame, object descriptors) except -1:
        self._outbox.append((frame, [os.dup(fd) for fd in descriptors]))
        if len(self._outbox) == 1:
            self._reactor.rewatch(self._fd, EPOLLIN | EPOLLOUT)
        return 0

    cdef int _flush(self) except -1:
        cdef bytes frame
        while self._outbox:
            frame, descriptors = self._outbox[0]
            try:
                if not self._sent(
                    PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), descriptors
                ):
                    break
            except OSError as exc:
                self._drop_outbox()
                self._reactor.rewatch(self._fd, EPOLLIN)
                self.refused(exc)
                return 0
            self._outbox.popleft()
            close_all(descriptors)
        if not self._outbox and not self._gone:
            self._reactor.rewatch(self._fd, EPOLLIN)
            self.emptied()
        return 0

    cdef int _end(self) except -1:
        self._gone = True
        self._reactor.unregister(self._fd)
        self._drop_outbox()
        self.departed()
        return 0

    def _drop_outbox(self):
        while self._outbox:
            close_all(self._outbox.popleft()[1])


cdef class LanePort(Port):
    """An end of the lane ``_name``, which breaks once; ``on_broken`` gets the ``LaneError``."""

    def send_frame(self, bytes frame not None, descriptors=()):
        """As ``Port`` does; a lane that the system refuses something to is broken.

        Who offers or takes just goes on: it is the session that ends.
        """
        try:
            Port.send_frame(self, frame, descriptors)
        except OSError as exc:
            self.refused(exc)

    cdef int refused(self, object error) except -1:
        self._break(LaneError(self._name, shortage(error)))
        return 0

    cdef int _break(self, object error) except -1:
        if not self._broken:
            self._broken = True
            self.on_broken(error)
        return 0


cdef ssize_t _send_with_descriptors(
    int fd, const void* frame, size_t nbytes, list descriptors
) except? -1:
    cdef uint64_t[CONTROL_WORDS] control
    cdef int[MOST_DESCRIPTORS] numbers
    cdef iovec vector
    cdef msghdr message
    cdef cmsghdr* header
    cdef size_t count = len(descriptors), i
    if count > MOST_DESCRIPTORS:
        raise ValueError(f"at most {MOST_DESCRIPTORS} descriptors a frame, got {count}")
    for i in range(count):
        numbers[i] = descriptors[i]
    vector.iov_base = <void*>frame
    vector.iov_len = nbytes
    memset(&message, 0, sizeof(message))
    memset(control, 0, sizeof(control))
    message.msg_iov = &vector
    message.msg_iovlen = 1
    message.msg_control = control
    message.msg_controllen = CMSG_SPACE(count * sizeof(int))
    header = CMSG_FIRSTHDR(&message)
    header.cmsg_level = SOL_SOCKET
    header.cmsg_type = SCM_RIGHTS
    header.cmsg_len = CMSG_LEN(count * sizeof(int))
    memcpy(CMSG_DATA(header), numbers, count * sizeof(int))
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)


cdef list _descriptors(msghdr* message):
    """The descriptors that came along."""
    cdef cmsghdr* header = CMSG_FIRSTHDR(message)
    cdef int number
    cdef size_t i
    cdef list descriptors = []
    while header != NULL:
        if header.cmsg_level == SOL_SOCKET and header.cmsg_type == SCM_RIGHTS:
            for i in range((header.cmsg_len - CMSG_LEN(0)) // sizeof(int)):
                memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof(int))
                descriptors.append(number)
        header = CMSG_NXTHDR(message, header)
    return descriptors
