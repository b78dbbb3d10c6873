"""Limits that are set from outside, on a process that may be gone."""

from __future__ import annotations

import os

import pytest

from penstock.executors.multiprocess.limits import Allowance, confine_memory_of


def test_a_process_that_has_ended_can_not_be_limited() -> None:
    """The supervisor takes this for what it is: there is nothing to limit."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(ProcessLookupError):
            confine_memory_of(pid, Allowance(memory_bytes=1 << 20), None)
    finally:
        os.waitpid(pid, 0)
