"""The work, which holds the GIL all the time."""

from __future__ import annotations

LOOPS = 50_000
"""What one item costs: a few milliseconds."""


def burn() -> int:
    """Do the work of one item."""
    state = 1
    for _ in range(LOOPS):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
    return state
