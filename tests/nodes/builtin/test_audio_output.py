"""AudioOutputNode: what leaves has the rate and the type that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.data import Audio
from penstock.nodes.builtin.audio_output import AudioOutput
from penstock.testing import run_node


async def run(inputs: list[Audio], **params: object) -> list[Audio]:
    outputs = await run_node(AudioOutput, inputs, params)
    return [output for output in outputs if isinstance(output, Audio)]


def tone(hz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    """A sine at half of full scale, (samples, 1) float32."""
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32).reshape(-1, 1)


async def test_audio_passes_unchanged_unless_asked() -> None:
    samples = np.arange(6, dtype=np.int16).reshape(-1, 2)
    (output,) = await run([Audio(samples, 8_000, {"k": "v"}, b"{}")])
    assert output == Audio(samples, 8_000, {"k": "v"}, b"{}")
    assert np.shares_memory(output.samples, samples)


@pytest.mark.parametrize(
    ("name", "dtype"), [("F32", np.float32), ("I16", np.int16), ("I32", np.int32)]
)
async def test_the_sample_type_is_converted(name: str, dtype: type) -> None:
    (output,) = await run([Audio(np.array([-32768, 0, 16384], np.int16), 8_000)], format=name)
    scale = 1.0 if dtype is np.float32 else 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    assert output.samples.dtype == dtype
    assert (output.samples[:, 0] / scale).tolist() == [-1.0, 0.0, 0.5]


@pytest.mark.parametrize("dtype", ["F32", "I16", "I32"])
async def test_a_resampled_tone_is_the_tone_at_the_other_rate(dtype: str) -> None:
    wave = tone(440, 22_050)
    chunks = [Audio(part, 22_050) for part in np.array_split(wave, 37)]
    outputs = await run(chunks, sample_rate_hz=16_000, format=dtype)
    assert {output.sample_rate_hz for output in outputs} == {16_000}
    joined = np.concatenate([output.samples for output in outputs])
    back = await run([Audio(joined, 16_000)], format="F32")
    expected = tone(440, 16_000)
    assert abs(len(joined) - len(expected)) <= 1
    inner = slice(500, 15_500)  # the ends ring
    assert np.abs(back[0].samples[inner] - expected[inner]).max() < 1e-3


async def test_a_change_of_format_begins_another_stretch() -> None:
    inputs = [
        Audio(tone(440, 22_050), 22_050),
        Audio(tone(440, 48_000), 48_000),
        Audio(tone(440, 16_000), 16_000),
    ]
    outputs = await run(inputs, sampleRateHz=16_000)
    assert {output.sample_rate_hz for output in outputs} == {16_000}
    assert abs(sum(len(output.samples) for output in outputs) - 48_000) <= 2
    assert outputs[-1] == inputs[-1]
