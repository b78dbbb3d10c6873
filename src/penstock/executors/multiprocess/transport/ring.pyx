"""A ring of records in memory that a producer and a consumer share, and one of tokens back.

Records lie in it one behind the other, none across the end. Each side tells the other how far
it is by a counter that only it writes. A side that finds nothing to do says so before it looks
a last time, and only then is it woken: the consumer by the ring's bell, the producer by
whatever way the consumer has. While both are at work, neither makes a system call.

A token says of what message the consumer no longer looks at the payload. There is room for as
many as can be on their way, so that nobody has to ask whether there is.
"""

import os

from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from penstock.executors.multiprocess.transport import sealing

cdef extern from "<sys/mman.h>" nogil:
    void* MAP_FAILED
    int PROT_READ, PROT_WRITE, MAP_SHARED, MADV_DONTFORK
    void* mmap(void* address, size_t nbytes, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t nbytes)
    int madvise(void* address, size_t nbytes, int advice)

cdef extern from "<unistd.h>" nogil:
    int close_fd "close"(int fd)

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd_write(int fd, uint64_t value)

cdef extern from "atomics.h" nogil:
    uint64_t load_acquire(const uint64_t* at)
    void store_release(uint64_t* at, uint64_t value)
    uint64_t load_ordered(const uint64_t* at)
    void store_ordered(uint64_t* at, uint64_t value)
    uint32_t load_flag(const uint32_t* at)
    void store_flag(uint32_t* at, uint32_t value)
    uint32_t exchange(uint32_t* at, uint32_t value)

cdef enum:
    HEADER_BYTES = 4096
    RECORD_BYTES = 64 << 10
    RING_BYTES = HEADER_BYTES + RECORD_BYTES
    TOKENS_BEYOND_CAPACITY = 512
    PREFIX_BYTES = 8
    SKIP = 0xFFFFFFFF

cdef uint64_t _forks = 0


def _count_fork():
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


cdef uint64_t forks() noexcept:
    """How many forks lie between this process and the program's first one.

    What was mapped before the last of them isn't there: memory that is shared is kept from
    forks, as they have no part in it. Objects on it are inherited all the same, and may die.
    """
    return _forks


cdef list _held = None
"""The rings whose consumers are to be woken later; None: each at once."""


def hold_bells():
    """Have this process wake no consumer of its rings until ``release_bells``.

    That is for who puts something into many rings, one after the other: on a machine that has
    no core to spare, each consumer that wakes takes the place of who has woken it.
    """
    global _held
    if _held is None:
        _held = []


def release_bells():
    """Wake who has been put something since ``hold_bells``, and from now on at once."""
    global _held
    cdef list held = _held
    cdef Ring ring
    _held = None
    if held:
        for ring in held:
            ring.ring_bell()


cdef class Ring:
    """One side's view of the ring; a process is either its producer or its consumer.

    Whatever the other side writes is checked before it is believed: ``ValueError`` says that
    it can't be.
    """

    def __cinit__(self):
        self.fd = self.bell = -1

    def __dealloc__(self):
        if self._header != NULL and self._mapped_at == _forks:
            munmap(self._header, self._nbytes)
        self.close()

    @staticmethod
    def create(size_t capacity):
        """A new ring, and the bell of its consumer, which sleeps.

        ``capacity`` bounds the messages that wait in it; the tokens have room for these, for as
        many that the consumer has set aside, and for a few hundred whose payloads it looks at.
        """
        cdef Ring ring = Ring.__new__(Ring)
        cdef size_t slots = _token_slots(capacity)
        ring.fd = sealing.create(RING_BYTES + slots * sizeof(uint64_t))
        ring.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        ring.map(slots)
        sealing.fix_size(ring.fd)
        ring._header.consumer_sleeps = 1
        return ring

    @staticmethod
    def adopt(int fd, int bell, size_t capacity, str lane):
        """The ring that a producer made; takes both descriptors over.

        Raises ``LaneError`` for memory that could shrink, is too small, or can't be mapped.
        """
        cdef Ring ring = Ring.__new__(Ring)
        cdef size_t slots = _token_slots(capacity)
        ring.fd = fd
        ring.bell = bell
        sealing.check(fd, lane, RING_BYTES + slots * sizeof(uint64_t))
        with sealing.usable(lane):
            ring.map(slots)
        return ring

    cdef int map(self, size_t token_slots) except -1:
        cdef size_t nbytes = RING_BYTES + token_slots * sizeof(uint64_t)
        cdef void* memory = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, self.fd, 0)
        if memory == MAP_FAILED:
            PyErr_SetFromErrno(OSError)
        madvise(memory, nbytes, MADV_DONTFORK)
        self._mapped_at = _forks
        self._header = <Header*>memory
        self._records = <unsigned char*>memory + HEADER_BYTES
        self._tokens = <uint64_t*>(self._records + RECORD_BYTES)
        self._token_slots = token_slots
        self._nbytes = nbytes
        return 0

    cdef int close(self) noexcept:
        """Give the descriptors up; the memory goes with the object."""
        if self.fd >= 0:
            close_fd(self.fd)
        if self.bell >= 0:
            if self._is_held:
                eventfd_write(self.bell, 1)
            close_fd(self.bell)
        self.fd = self.bell = -1

    # The producer's side

    cdef bint put(self, const void* record, size_t nbytes) except -1:
        """Append a record, and wake a consumer that sleeps; False while there is no room."""
        cdef size_t size = PREFIX_BYTES + (nbytes + 7) // 8 * 8
        cdef size_t at = self._position % RECORD_BYTES
        cdef size_t left = RECORD_BYTES - at
        cdef size_t skipped = left if left < size else 0
        if not self._has_room(skipped + size):
            return False
        if skipped:
            (<uint32_t*>(self._records + at))[0] = SKIP
            at = 0
        (<uint32_t*>(self._records + at))[0] = nbytes
        memcpy(self._records + at + PREFIX_BYTES, record, nbytes)
        self._position += skipped + size
        self._count += 1
        self._publish()
        return True

    cdef bint _has_room(self, size_t size) except -1:
        """Whether so much is free; ``_known`` is what the consumer had taken when last looked."""
        cdef uint64_t taken
        if self._position + size - self._known <= RECORD_BYTES:
            return True
        taken = load_acquire(&self._header.taken_bytes)
        if not self._known <= taken <= self._position:
            raise ValueError(
                f"{taken} bytes are said to be taken, after {self._known},"
                f" but {self._position} were sent"
            )
        self._known = taken
        return self._position + size - taken <= RECORD_BYTES

    cdef int _publish(self) except -1:
        store_release(&self._header.written, self._count)
        store_ordered(&self._header.written_bytes, self._position)
        if load_flag(&self._header.consumer_sleeps) and exchange(
            &self._header.consumer_sleeps, 0
        ):
            if _held is None:
                self.ring_bell()
            else:
                self._is_held = True
                _held.append(self)
        return 0

    cdef int ring_bell(self) except -1:
        """Wake the consumer; what has been closed has woken it."""
        self._is_held = False
        if self.bell >= 0 and eventfd_write(self.bell, 1) < 0 and errno != EAGAIN:
            PyErr_SetFromErrno(OSError)
        return 0

    cdef uint64_t taken(self, uint64_t least, uint64_t most) except? 0xFFFFFFFF:
        """How many records the consumer has taken: no fewer than before, none that wasn't sent."""
        cdef uint64_t taken = load_acquire(&self._header.taken)
        if not least <= taken <= most:
            raise ValueError(
                f"{taken} messages are said to be taken, after {least}, but {most} were sent"
            )
        return taken

    cdef bint room_after(self, uint64_t taken) noexcept:
        """Ask to be woken once ``taken`` records are taken; whether they are already."""
        store_release(&self._header.wake_at, taken)
        store_flag(&self._header.producer_waits, 1)
        if load_ordered(&self._header.taken) < taken:
            return False
        store_flag(&self._header.producer_waits, 0)
        return True

    cdef uint64_t given_back(self) noexcept:
        """How many tokens have come back."""
        return load_ordered(&self._header.given_back)

    cdef uint64_t token(self, uint64_t number) noexcept:
        return self._tokens[number % self._token_slots]

    cdef int starve(self) noexcept:
        """Ask to be woken when the next token comes back."""
        store_flag(&self._header.producer_starves, 1)
        return 0

    # The consumer's side

    cdef const unsigned char* next(self, size_t* nbytes) except? NULL:
        """The next record where it lies; NULL where there is none: then the bell will ring."""
        cdef uint64_t written
        cdef size_t at, left
        cdef uint32_t length
        if self._position == self._known:
            self._known = load_acquire(&self._header.written_bytes)
            if self._position == self._known:
                store_flag(&self._header.consumer_sleeps, 1)
                self._known = load_ordered(&self._header.written_bytes)
                if self._position == self._known:
                    return NULL
                store_flag(&self._header.consumer_sleeps, 0)
        at = self._position % RECORD_BYTES
        length = load_flag(<uint32_t*>(self._records + at))  # once: it may be changing
        if length == SKIP:
            self._position += RECORD_BYTES - at
            at = 0
            length = load_flag(<uint32_t*>self._records)
        left = self._known - self._position
        if left > RECORD_BYTES or <size_t>length + PREFIX_BYTES > min(left, RECORD_BYTES - at):
            raise ValueError(f"a record of {length} bytes can't lie at {at} with {left} to come")
        nbytes[0] = length
        return self._records + at + PREFIX_BYTES

    cdef bint advance(self, size_t nbytes) noexcept:
        """The record of ``nbytes`` is taken; whether the producer is to be woken."""
        self._position += PREFIX_BYTES + (nbytes + 7) // 8 * 8
        self._count += 1
        store_release(&self._header.taken_bytes, self._position)
        store_ordered(&self._header.taken, self._count)
        if load_flag(&self._header.producer_waits) and self._count >= load_acquire(
            &self._header.wake_at
        ):
            return exchange(&self._header.producer_waits, 0)
        return False

    cdef uint64_t written(self) noexcept:
        """How many records there have been."""
        return load_acquire(&self._header.written)

    cdef bint starved(self) noexcept:
        """Whether the producer is to be woken when a token comes back."""
        return load_flag(&self._header.producer_starves)

    cdef bint give_back(self, uint64_t token) noexcept:
        """Send a token back; whether the producer is to be woken. A fork sends none."""
        cdef uint64_t number
        if self._mapped_at != _forks:
            return False
        number = self._header.given_back
        self._tokens[number % self._token_slots] = token
        store_ordered(&self._header.given_back, number + 1)
        return load_flag(&self._header.producer_starves) and exchange(
            &self._header.producer_starves, 0
        )


cdef size_t _token_slots(size_t capacity):
    """A power of two, so that counting on past the end of a counter's range changes nothing."""
    cdef size_t slots = TOKENS_BEYOND_CAPACITY
    while slots < 2 * capacity + TOKENS_BEYOND_CAPACITY:
        slots *= 2
    return slots
