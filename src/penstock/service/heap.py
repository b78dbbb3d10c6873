"""The heap of the service's process: what is kept for the next messages, and what is left alone."""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
KEPT_BYTES = 32 << 20
"""What may stay free at the heap's end; the largest that glibc takes for its other threshold."""

YOUNG_OBJECTS = 10_000
"""How many more there have to be before any are looked through, which takes a millisecond."""
GENERATIONS = 5, 5
"""After how many of such looks those are that were left before, and after how many of these all."""


def keep_freed_memory() -> None:
    """Have large messages reuse the memory of those before them.

    glibc gives it back to the system with each, and takes it anew for the next, and touching
    fresh memory takes longer than all that is done with a message. Other libraries of C have no
    such setting, and stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def settle() -> None:
    """Leave what there is now, mostly modules, out of every later garbage collection.

    Looking through it stops the whole service for some 20 ms, the length of a chunk of speech. So
    does looking through thousands of connections, which must not happen just because some come as
    others go: what goes leaves little to be collected, and is counted off what has come.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *GENERATIONS)
