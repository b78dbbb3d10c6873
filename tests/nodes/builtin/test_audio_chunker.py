"""AudioChunkerNode: same samples, new borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.data import Audio, Json, Value
from penstock.errors import InputError
from penstock.nodes.builtin.audio_chunker import AudioChunker
from penstock.testing import run_node


def audios(values: list[Value]) -> list[Audio]:
    assert all(isinstance(value, Audio) for value in values)
    return [value for value in values if isinstance(value, Audio)]


@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.integers(1, 30),
    st.sampled_from(["f4", "i2", "i4"]),
    st.integers(1, 3),
)
async def test_samples_stay_and_only_the_last_chunk_is_short(
    sizes: list[int], chunk_size: int, dtype: str, channels: int
) -> None:
    total = np.arange(sum(sizes) * channels, dtype=dtype).reshape(-1, channels)
    inputs = [Audio(part, 8_000) for part in np.split(total, np.cumsum(sizes))[: len(sizes)]]
    chunks = audios(await run_node(AudioChunker, inputs, {"chunk_size": chunk_size}))
    lengths = [len(chunk.samples) for chunk in chunks]
    assert all(length == chunk_size for length in lengths[:-1])
    assert all(0 < length <= chunk_size for length in lengths)
    joined = np.concatenate([total[:0], *(chunk.samples for chunk in chunks)])
    assert joined.dtype == np.dtype(dtype)
    assert np.array_equal(joined, total)


async def test_a_chunk_within_one_input_is_a_view_on_it() -> None:
    samples = np.arange(1_100, dtype=np.int16)
    chunks = audios(await run_node(AudioChunker, [Audio(samples, 16_000)]))
    assert [len(chunk.samples) for chunk in chunks] == [512, 512, 76]
    assert all(np.shares_memory(chunk.samples, samples) for chunk in chunks[:2])


async def test_metadata_is_that_of_the_last_contributor() -> None:
    inputs = [
        Audio(np.zeros(3, np.int16), 8_000, {"n": "1"}, b"1"),
        Audio(np.zeros(3, np.int16), 8_000, {"n": "2"}, b"2"),
    ]
    chunks = audios(await run_node(AudioChunker, inputs, {"chunkSize": 2}))
    assert [(chunk.metadata["n"], chunk.metadata_json) for chunk in chunks] == [
        ("1", b"1"),
        ("2", b"2"),
        ("2", b"2"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        Audio(np.zeros(4, np.int16), 16_000),
        Audio(np.zeros(4, np.int32), 8_000),
        Audio(np.zeros((4, 2), np.int16), 8_000),
    ],
    ids=["rate", "type", "channels"],
)
async def test_a_change_of_format_ends_the_open_chunk(other: Audio) -> None:
    first = Audio(np.zeros(6, np.int16), 8_000, {"first": "yes"})
    chunks = audios(await run_node(AudioChunker, [first, other], {"chunk_size": 4}))
    assert [len(chunk.samples) for chunk in chunks] == [4, 2, 4]
    assert chunks[1].metadata == first.metadata
    assert chunks[1].samples.dtype == first.samples.dtype
    assert chunks[2].samples.dtype == other.samples.dtype
    assert chunks[2].samples.shape == other.samples.shape
    assert chunks[2].sample_rate_hz == other.sample_rate_hz


async def test_only_audio_is_accepted() -> None:
    with pytest.raises(InputError, match="accepts audio; got json"):
        await run_node(AudioChunker, [Json(1)])
