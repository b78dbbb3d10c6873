"""Audio at another rate, as a stream; the only file that knows soxr."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import MissingExtraError


class Resampler:
    """Resamples (samples, channels) piece by piece, band-limited, without seams.

    ``push`` may give nothing for a while: the filter looks ahead. ``finish`` gives the rest;
    all in all there are as many ms as went in. Needs ``pip install 'penstock[resample]'``.
    """

    def __init__(self, from_hz: int, to_hz: int, *, channels: int, dtype: np.dtype[Any]) -> None:
        try:
            import soxr  # noqa: PLC0415  # an extra
        except ImportError as exc:
            raise MissingExtraError("resampling", "soxr", extra="resample") from exc
        self._empty: NDArray[Any] = np.empty((0, channels), dtype=dtype)
        self._stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype=dtype.name)

    def push(self, samples: NDArray[Any]) -> NDArray[Any]:
        resampled: NDArray[Any] = self._stream.resample_chunk(np.ascontiguousarray(samples))
        return resampled

    def finish(self) -> NDArray[Any]:
        rest: NDArray[Any] = self._stream.resample_chunk(self._empty, last=True)
        return rest
