"""The sound of the last moments, cut into utterances by position.

Pure: knows nothing of recognisers. Positions are in samples from the beginning of the stream.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray


class Recording:
    """A one-dimensional int16 signal whose beginning may be forgotten."""

    def __init__(self) -> None:
        self._pieces: deque[NDArray[np.int16]] = deque()
        self._start = 0
        self._end = 0

    @property
    def start(self) -> int:
        return self._start

    @property
    def end(self) -> int:
        return self._end

    def __len__(self) -> int:
        return self._end - self._start

    def append(self, samples: NDArray[np.int16]) -> None:
        """Add a copy: what is kept for seconds must not hold its sender's memory."""
        if len(samples):
            self._pieces.append(samples.copy())
            self._end += len(samples)

    def forget(self, before: int) -> None:
        """Drop what lies before a position; one outside the recording means its nearer end."""
        target = min(max(before, self._start), self._end)
        while self._pieces and self._start + len(self._pieces[0]) <= target:
            self._start += len(self._pieces.popleft())
        if self._start < target:
            self._pieces[0] = self._pieces[0][target - self._start :]
            self._start = target

    def take(self, until: int) -> NDArray[np.int16]:
        """Remove and give what lies before a position, as one array."""
        begin = self._start
        signal = np.concatenate([np.empty(0, dtype=np.int16), *self._pieces])
        self.forget(until)
        return signal[: self._start - begin]
