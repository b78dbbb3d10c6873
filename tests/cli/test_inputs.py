from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.cli.inputs import chunked, read_input
from penstock.cli.utterance import LEAD_S, SAMPLE_RATE_HZ, TAIL_S, Utterance
from penstock.cli.wav import write_wav
from penstock.data import Audio, Binary, Json, Text
from penstock.errors import InputError


def test_text_and_json_are_taken_as_they_stand() -> None:
    assert read_input("a=text:x=1").values == [Text("x=1")]
    assert read_input('a=json:{"b": [1, null]}').values == [Json({"b": [1, None]})]
    assert read_input("a=text:").node_id == "a"


def test_the_extension_says_what_a_file_is(tmp_path: Path) -> None:
    contents = {
        "a.txt": ("grüße\n", [Text("grüße\n")]),
        "a.json": ("[1]", [Json([1])]),
        "a.jsonl": ('{"n": 1}\n\n2\n', [Json({"n": 1}), Json(2)]),
        "a.bin": ("raw", [Binary.from_bytes(b"raw")]),
        "a": ("raw", [Binary.from_bytes(b"raw")]),
    }
    for name, (text, expected) in contents.items():
        (tmp_path / name).write_text(text)
        assert read_input(f"n={tmp_path / name}").values == expected


def test_a_wav_comes_in_chunks_of_20_ms(tmp_path: Path) -> None:
    samples = np.arange(1000, dtype=np.int16)
    write_wav(tmp_path / "a.WAV", [Audio(samples, 16_000)])
    values = read_input(f"n={tmp_path / 'a.WAV'}").values
    assert [len(value.samples) for value in values if isinstance(value, Audio)] == [
        320,
        320,
        320,
        40,
    ]
    assert values[1] == Audio(samples[320:640], 16_000)


def test_chunks_are_views() -> None:
    audio = Audio(np.zeros(1000, np.int16), 16_000)
    assert all(np.shares_memory(chunk.samples, audio.samples) for chunk in chunked(audio))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nothing", "expected NODE=FILE"),
        ("=x", "expected NODE=FILE"),
        ("a=", "expected NODE=FILE"),
        ("a=/no/such.txt", "/no/such.txt can't be read: No such file"),
        ("a=json:{", "^a=json:… is no JSON: Expecting"),
        ("a=json:NaN", "NaN is no JSON value"),
        ("a=json:" + "[" * 100_000, "^a=json:… is no JSON"),
    ],
)
def test_wrong_inputs_are_named(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_input(argument)


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("1\n2\n{\n")
    with pytest.raises(InputError, match=r"a\.jsonl:3 is no JSON"):
        read_input(f"n={path}")
    (tmp_path / "a.txt").write_bytes(b"ab\xff")
    with pytest.raises(InputError, match=r"is not UTF-8: .* at byte 2"):
        read_input(f"n={tmp_path / 'a.txt'}")


def test_an_utterance_ends_with_its_last_audible_sample() -> None:
    spoken = np.zeros(SAMPLE_RATE_HZ, np.int16)
    spoken[5000] = 10_000
    utterance = Utterance.of(Audio(spoken, SAMPLE_RATE_HZ))
    assert utterance.last_spoken == (5000 + int(LEAD_S * SAMPLE_RATE_HZ)) // 320
    assert utterance.audio.duration_s == pytest.approx(1 + LEAD_S + TAIL_S)
    assert (
        np.concatenate([c.samples for c in utterance.chunks]).shape == utterance.audio.samples.shape
    )


def test_silence_is_no_utterance() -> None:
    with pytest.raises(InputError, match="nothing to hear"):
        Utterance.of(Audio(np.zeros(100, np.float32), SAMPLE_RATE_HZ))


def test_a_recording_is_brought_to_16_khz(tmp_path: Path) -> None:
    tone = np.sin(np.arange(44_100) * 0.05).astype(np.float32)
    write_wav(tmp_path / "a.wav", [Audio(tone, 44_100)])
    audio = Utterance.recorded(tmp_path / "a.wav").audio
    assert audio.sample_rate_hz == SAMPLE_RATE_HZ
    assert audio.duration_s == pytest.approx(1 + LEAD_S + TAIL_S, abs=0.001)
