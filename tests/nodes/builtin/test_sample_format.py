"""Sample types: scaling, clipping, rounding, mixing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.nodes.builtin.sample_format import FORMATS, convert, mono

F32, I16, I32 = FORMATS["F32"], FORMATS["I16"], FORMATS["I32"]


def test_all_of_int16_survives_a_trip_through_the_others() -> None:
    every = np.arange(-32768, 32768).astype(np.int16).reshape(-1, 1)
    for dtype in (F32, I32):
        there = convert(every, dtype)
        assert there.dtype == dtype
        assert np.array_equal(convert(there, I16), every)


def test_full_scale_is_full_scale() -> None:
    wave = np.array([[-1.0], [0.0], [0.5], [1.0]], np.float32)
    assert convert(wave, I16).tolist() == [[-32768], [0], [16384], [32767]]
    assert convert(wave, I32).tolist() == [[-(2**31)], [0], [2**30], [2**31 - 1]]
    assert convert(np.array([[-(2**31)]], np.int32), F32).tolist() == [[-1.0]]


@pytest.mark.parametrize("dtype", [I16, I32])
def test_what_is_beyond_is_clipped_and_nan_is_silence(dtype: np.dtype) -> None:
    limits = np.iinfo(dtype)
    wild = np.array([[7.0], [-7.0], [np.inf], [-np.inf], [np.nan]], np.float32)
    expected = [limits.max, limits.min, limits.max, limits.min, 0]
    assert convert(wild, dtype)[:, 0].tolist() == expected


def test_int32_is_rounded_to_the_nearest_int16() -> None:
    wide = np.array([[65536 * 3 + 40000], [2**31 - 1]], np.int32)
    assert convert(wide, I16).tolist() == [[4], [32767]]


def test_the_same_type_is_the_same_array() -> None:
    samples = np.zeros((3, 2), np.int16)
    assert convert(samples, I16) is samples


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=20))
def test_a_mix_is_finite_and_in_range(pairs: list[tuple[float, float]]) -> None:
    samples = np.array(pairs, np.float32).reshape(-1, 2)
    mixed = mono(samples, F32)
    assert mixed.shape == (len(pairs),)
    assert np.isfinite(mixed).all()
    assert (np.abs(mixed) <= 1).all()


def test_a_mix_is_the_mean_of_the_channels() -> None:
    samples = np.array([[100, 200], [-4, 4]], np.int16)
    assert mono(samples, I16).tolist() == [150, 0]
    assert mono(samples[:, :1], I16).tolist() == [100, -4]
