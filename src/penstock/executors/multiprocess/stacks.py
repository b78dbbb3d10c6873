"""Stacks of threads, where a process's data is limited: the usual 8 MiB each take most of it.

Imported before numpy, whose threads start with it: it must not import what needs that.
"""

from __future__ import annotations

import ctypes
import resource
import threading

STACK_BYTES = 1 << 20
"""What a thread's stack takes of a limited process's memory."""
_ATTRIBUTES_BYTES = 128  # pthread_attr_t has 56 on x86-64, and no more anywhere


def data_limit() -> int | None:
    """Bytes that ``RLIMIT_DATA`` leaves this process; None where it is not limited so."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if soft == resource.RLIM_INFINITY else soft


def shrink() -> None:
    """Where data is limited, give new threads small stacks: Python's, and those of libraries."""
    if data_limit() is not None:
        _set_default(STACK_BYTES)
        threading.stack_size(STACK_BYTES)


def _set_default(nbytes: int) -> None:
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
    _done(libc.pthread_getattr_default_np(attributes))
    _done(libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(nbytes)))
    _done(libc.pthread_setattr_default_np(attributes))


def _done(code: int) -> None:
    if code != 0:
        raise OSError(code, "the stack size of new threads can't be set")
