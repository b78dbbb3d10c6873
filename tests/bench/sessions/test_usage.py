"""What the kernel counts of processes."""

from __future__ import annotations

import os
import time

from bench.sessions.usage import cpu_ns, proportional_bytes, shared_bytes

MEGABYTE = 1 << 20


def test_cpu_time_is_that_of_the_whole_process() -> None:
    before, own = cpu_ns([os.getpid()]), time.process_time_ns()
    while time.process_time_ns() - own < 5_000_000:
        pass
    used = cpu_ns([os.getpid()]) - before
    assert used >= 5_000_000
    assert cpu_ns([os.getpid()] * 2) >= 2 * (before + used)


def test_a_memfd_counts_once_by_the_pages_that_were_touched() -> None:
    before = shared_bytes([os.getpid()])
    fd = os.memfd_create("test")
    twin = os.dup(fd)
    try:
        os.ftruncate(fd, 10 * MEGABYTE)
        os.pwrite(fd, bytes(MEGABYTE), 0)
        assert shared_bytes([os.getpid(), os.getpid()]) - before == MEGABYTE
    finally:
        os.close(fd)
        os.close(twin)
    assert shared_bytes([os.getpid()]) == before


def test_memory_is_counted_in_bytes() -> None:
    held = bytearray(os.urandom(MEGABYTE) * 20)
    assert proportional_bytes([os.getpid()]) > len(held)
