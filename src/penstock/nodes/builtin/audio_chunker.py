"""Cuts audio into chunks of one size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penstock.data import Audio, ExecutorType, replace
from penstock.nodes.base import Node, node
from penstock.nodes.builtin.sample_format import alike
from penstock.nodes.params import NodeParams


class AudioChunkerParams(NodeParams):
    """How long a chunk is."""

    chunk_size: int = Field(512, ge=1, le=2**20, description="samples per channel of a chunk")


@node("AudioChunkerNode", executor=ExecutorType.NATIVE)
class AudioChunker(Node):
    """Cut audio into chunks of one size, whatever the sizes that arrive.

    Sample type, rate, channels and metadata stay as they are. A chunk that lies in one input
    is a view on it; only a chunk that several inputs contribute to is copied, and carries the
    metadata of the last of them. What is left at the end of the stream, or when rate, sample
    type or channels change, comes as a shorter chunk.
    """

    Params = AudioChunkerParams
    params: AudioChunkerParams
    blocking = False
    chunk_samples = "chunk_size"

    def setup(self) -> None:
        self._last: Audio | None = None
        self._open: NDArray[Any] = np.empty((0, 1), dtype=np.int16)
        self._filled = 0

    def process(self, item: Audio) -> Iterator[Audio]:
        if self._last is not None and not alike(self._last, item):
            yield from self.flush()
        self._last = item
        samples = item.samples
        if self._filled:
            taken = self._fill(samples)
            samples = samples[taken:]
            if self._filled == self.params.chunk_size:
                yield from self.flush()
        whole = len(samples) - len(samples) % self.params.chunk_size
        for start in range(0, whole, self.params.chunk_size):
            yield replace(item, samples=samples[start : start + self.params.chunk_size])
        if whole < len(samples):
            self._fill(samples[whole:])

    def flush(self) -> Iterator[Audio]:
        if self._filled and self._last is not None:
            rest = self._open[: self._filled]
            self._filled = 0
            yield replace(self._last, samples=rest)

    def interrupt(self) -> None:
        self._filled = 0

    def _fill(self, samples: NDArray[Any]) -> int:
        """Copy what fits into the open chunk, and say how much that was."""
        size = self.params.chunk_size
        if not self._filled:
            self._open = self.ctx.allocate((size, samples.shape[1]), samples.dtype)
        taken = min(size - self._filled, len(samples))
        self._open[self._filled : self._filled + taken] = samples[:taken]
        self._filled += taken
        return taken
