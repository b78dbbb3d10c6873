"""The heap of the service's process: what it keeps for the next messages."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
KEPT_BYTES = 32 << 20
"""What may stay free at the heap's end; the largest that glibc takes for its other threshold."""


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
