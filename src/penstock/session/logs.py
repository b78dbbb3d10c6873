"""What others bring about in a log: under which name, and how much of it."""

from __future__ import annotations

import math
import time

NODE_LOGGER = "penstock.node"
"""The logger of what nodes write to stdout and stderr."""


class LogRate:
    """A leaky bucket: what is said takes time, which comes by itself.

    After a silence ``at_once_s`` seconds of it are in hand. What takes longer than that is said
    where all of them are.
    """

    __slots__ = ("_used_until",)

    def __init__(self) -> None:
        self._used_until = -math.inf

    def takes(self, seconds: float, at_once_s: float) -> bool:
        """Whether there is time for what takes so long, which is used up then."""
        now = time.monotonic()
        begins = max(self._used_until, now - at_once_s)
        if begins + seconds > now and self._used_until > now - at_once_s:
            return False
        self._used_until = begins + seconds
        return True
