/* Loads and stores that two processes agree on; C11's, as GCC and Clang spell them. */
#ifndef PENSTOCK_ATOMICS_H
#define PENSTOCK_ATOMICS_H

#include <stdint.h>

static inline uint64_t load_acquire(const uint64_t *from) { return __atomic_load_n(from, __ATOMIC_ACQUIRE); }
static inline void store_release(uint64_t *to, uint64_t value) { __atomic_store_n(to, value, __ATOMIC_RELEASE); }
static inline uint32_t exchange(uint32_t *at, uint32_t value) { return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST); }
static inline uint32_t load_flag(const uint32_t *from) { return __atomic_load_n(from, __ATOMIC_SEQ_CST); }
static inline void store_flag(uint32_t *to, uint32_t value) { __atomic_store_n(to, value, __ATOMIC_SEQ_CST); }
static inline uint64_t load_ordered(const uint64_t *from) { return __atomic_load_n(from, __ATOMIC_SEQ_CST); }
static inline void store_ordered(uint64_t *to, uint64_t value) { __atomic_store_n(to, value, __ATOMIC_SEQ_CST); }

#endif
