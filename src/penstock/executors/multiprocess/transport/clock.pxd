from libc.stdint cimport int64_t, uint64_t

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* time)

cdef extern from * nogil:
    int __builtin_clzll(unsigned long long number)


cdef enum:
    BUCKETS = 48


cdef struct Spread:
    uint64_t[BUCKETS] counts


cdef inline int64_t now_ns() noexcept nogil:
    """The clock of ``time.perf_counter_ns``, which is one for all processes."""
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return <int64_t>time.tv_sec * 1_000_000_000 + time.tv_nsec


cdef inline void count(Spread* spread, int64_t duration_ns) noexcept nogil:
    """Count a duration in the bucket of its bit length."""
    cdef int length = 64 - __builtin_clzll(duration_ns) if duration_ns > 0 else 0
    spread.counts[min(length, <int>BUCKETS - 1)] += 1


cdef inline list counts(Spread* spread):
    """As many as there are up to the last that isn't 0: histograms may differ in length."""
    cdef int length = BUCKETS
    while length and not spread.counts[length - 1]:
        length -= 1
    return [spread.counts[i] for i in range(length)]
