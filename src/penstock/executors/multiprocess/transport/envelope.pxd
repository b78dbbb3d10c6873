from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef packed struct Envelope:
    # What a record of a lane's ring starts with; the description and a short payload follow.
    uint8_t kind
    uint8_t flags
    uint16_t meta_bytes
    uint32_t unused
    uint32_t epoch
    uint32_t part
    uint64_t lane_sequence
    uint64_t sequence
    int64_t timestamp_us
    int64_t entered_ns
    int64_t sent_ns
    uint32_t slab_id
    uint32_t checksum
    uint64_t offset
    uint64_t length


cdef packed struct Location:
    uint32_t slab_id
    uint64_t offset
    uint64_t length


cdef enum Flag:
    INLINE_PAYLOAD = 1
    CHECKED = 2
    META_IN_SLAB = 4
