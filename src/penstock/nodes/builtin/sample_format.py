"""Samples in another type: the scaling, rounding and clipping that every node shares.

Full scale is 1.0 in float32, 2¹⁵ in int16 and 2³¹ in int32. Float samples beyond full scale
are clipped, NaN becomes silence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.data import Audio

FORMATS: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
}


def alike(left: Audio, right: Audio) -> bool:
    """Whether two pieces of audio can be one stretch: same rate, sample type and channels."""
    return (
        left.sample_rate_hz == right.sample_rate_hz
        and left.samples.dtype == right.samples.dtype
        and left.channels == right.channels
    )


def convert(samples: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The samples as float32, int16 or int32; the same array where they are that already.

    int16 survives a trip through either of the others bit for bit. int32 to int16 rounds to
    the nearest; int32 to float32 keeps 24 bits.
    """
    if samples.dtype == dtype:
        return samples
    if samples.dtype == np.int16 and dtype == np.int32:
        return samples.astype(np.int32) << 16
    if samples.dtype == np.int32 and dtype == np.int16:
        return _scaled(samples / 65536.0, np.dtype(np.int16))
    if dtype == np.float32:
        return samples.astype(np.float32) * np.float32(1.0 / _full_scale(samples.dtype))
    wave = np.nan_to_num(np.clip(samples.astype(np.float64), -1.0, 1.0), nan=0.0)
    return _scaled(wave * _full_scale(dtype), dtype)


def mono(samples: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The mean of all channels as a one-dimensional array of ``dtype``; finite throughout."""
    if samples.dtype == dtype and samples.shape[1] == 1 and dtype != np.float32:
        return samples[:, 0]
    wave = convert(samples, np.dtype(np.float32))
    mixed = np.nan_to_num(np.clip(wave, -1.0, 1.0), nan=0.0).mean(axis=1, dtype=np.float32)
    return convert(mixed, dtype)


def _full_scale(dtype: np.dtype[Any]) -> float:
    return float(2 ** (8 * dtype.itemsize - 1))


def _scaled(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
