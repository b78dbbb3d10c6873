from libc.stdint cimport uint32_t, uint64_t

from penstock.executors.multiprocess.transport.reactor cimport Watcher


cdef struct Header:
    # The first line is the producer's to write, the second the consumer's, the third both's.
    uint64_t written_bytes
    uint64_t written
    uint64_t wake_at
    uint64_t[5] first_line
    uint64_t taken_bytes
    uint64_t taken
    uint64_t[6] second_line
    uint32_t consumer_sleeps
    uint32_t producer_waits
    uint32_t producer_starves
    uint32_t unused
    uint64_t[6] third_line
    uint64_t given_back  # the consumer's, like the tokens behind the records


cdef uint64_t forks() noexcept


cdef class Ring:
    cdef readonly int fd
    cdef readonly int bell
    cdef Header* _header
    cdef unsigned char* _records
    cdef uint64_t* _tokens
    cdef size_t _token_slots
    cdef size_t _nbytes
    cdef uint64_t _position
    cdef uint64_t _count
    cdef uint64_t _known
    cdef bint _is_held
    cdef uint64_t _mapped_at

    cdef int map(self, size_t token_slots) except -1
    cdef int close(self) noexcept
    cdef bint put(self, const void* record, size_t nbytes) except -1
    cdef uint64_t taken(self, uint64_t least, uint64_t most) except? 0xFFFFFFFF
    cdef bint room_after(self, uint64_t taken) noexcept
    cdef const unsigned char* next(self, size_t* nbytes) except? NULL
    cdef bint advance(self, size_t nbytes) noexcept
    cdef uint64_t written(self) noexcept
    cdef bint starved(self) noexcept
    cdef bint give_back(self, uint64_t token) noexcept
    cdef uint64_t given_back(self) noexcept
    cdef uint64_t token(self, uint64_t number) noexcept
    cdef int starve(self) noexcept
    cdef bint _has_room(self, size_t size) except -1
    cdef int _publish(self) except -1
    cdef int ring_bell(self) except -1
