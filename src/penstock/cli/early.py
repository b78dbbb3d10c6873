"""SIGTERM for a command that ends well by it, and hasn't come to where it heeds it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class Early:
    """Notes a SIGTERM; what is being done then goes on, up to where it can be left in order."""

    def __init__(self) -> None:
        self.came = False

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """For the length of the block, but for where something else heeds it."""
        self.came = False
        before = signal.signal(signal.SIGTERM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _note(self, *_: object) -> None:
        self.came = True


EARLY = Early()
"""That of this program."""
