"""A test that looks at the whole machine runs while no other does."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1]


def may_enter(kind: int) -> bool:
    """Whether another process could run a test now."""
    room = os.open(ROOM, os.O_RDONLY)
    try:
        fcntl.flock(room, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(room)


@pytest.mark.alone
def test_who_is_alone_lets_nobody_in() -> None:
    assert not may_enter(fcntl.LOCK_SH)


def test_others_keep_out_only_who_must_be_alone() -> None:
    assert may_enter(fcntl.LOCK_SH)
    assert not may_enter(fcntl.LOCK_EX)
