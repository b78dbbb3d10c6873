"""PocketSphinxNode on the real recogniser."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.data import Audio, Json, Text, Value
from penstock.errors import MissingExtraError
from penstock.nodes.builtin.pocket_sphinx import PocketSphinx
from penstock.nodes.builtin.sample_format import FORMATS, convert
from penstock.testing import run_node

Utterance = Callable[[str], np.ndarray]
GRAMMAR = """#JSGF V1.0;
grammar commands; // what may be said
public <command> = turn (/0.5/ on | /0.5/ off) the light {switch} | play music | <stop>;
<stop> = stop the music;
"""


async def heard(inputs: list[Value], grammar: str = GRAMMAR, **params: Any) -> list[str]:
    outputs = await run_node(PocketSphinx, inputs, {"grammar": grammar, **params})
    return [output.text for output in outputs if isinstance(output, Text)]


def start(ms: float) -> Json:
    return Json({"is_speech_start": True, "is_speech_end": False, "speech_start_ms": ms})


def end(ms: float) -> Json:
    return Json({"is_speech_start": False, "is_speech_end": True, "speech_end_ms": ms})


async def test_without_turns_everything_is_one_utterance(utterance: Utterance) -> None:
    chunks = np.array_split(utterance("turn off the light"), 30)
    assert await heard([Audio(chunk, 16_000) for chunk in chunks]) == ["turn off the light"]


async def test_turns_cut_the_stream_exactly(utterance: Utterance) -> None:
    first, second = utterance("play music"), utterance("stop the music")
    pause = np.zeros((16_000, 1), np.int16)
    sound = Audio(np.concatenate([first, pause, second]), 16_000)
    split_ms = len(first) / 16
    inputs = [sound, start(0), end(split_ms), start(split_ms + 1_000), end(sound.duration_s * 1e3)]
    assert await heard(inputs) == ["play music", "stop the music"]


async def test_what_lies_between_turns_is_not_decoded(utterance: Utterance) -> None:
    sound = Audio(utterance("play music"), 16_000)
    assert await heard([sound, Json({"is_speech_start": False, "is_speech_end": False})]) == []


async def test_a_turn_open_at_the_end_is_decoded(utterance: Utterance) -> None:
    assert await heard([Audio(utterance("play music"), 16_000), start(0)]) == ["play music"]


async def test_a_detector_without_positions_means_now(utterance: Utterance) -> None:
    begin, over = ({"is_speech_start": flag, "is_speech_end": not flag} for flag in (True, False))
    inputs = [Json(begin), Audio(utterance("play music"), 16_000), Json(over)]
    assert await heard(inputs) == ["play music"]


async def test_other_json_is_ignored(utterance: Utterance) -> None:
    inputs = [Json({"x": 1}), Audio(utterance("play music"), 16_000), Json([1]), Json("end")]
    assert await heard(inputs) == ["play music"]


async def test_silence_and_other_words_give_nothing(utterance: Utterance) -> None:
    assert await heard([]) == []
    assert await heard([Audio(np.zeros(16_000, np.int16), 16_000)]) == []
    assert await heard([Audio(utterance("turn off the")[:9_000], 16_000)]) == []


async def test_an_utterance_too_long_is_decoded_in_pieces(utterance: Utterance) -> None:
    piece = utterance("play music")
    padded = np.concatenate([piece, np.zeros((32_000 - len(piece), 1), np.int16)])
    found = await heard([Audio(np.tile(padded, (3, 1)), 16_000)], max_utterance_s=2)
    assert found == ["play music"] * 3


async def test_results_do_not_depend_on_what_was_said_before(utterance: Utterance) -> None:
    sound = Audio(utterance("turn on the light"), 16_000)
    loud = Audio(np.full((8_000, 1), 9_000, np.int16), 16_000)
    ms = 1e3 * (sound.duration_s + loud.duration_s)
    inputs = [loud, start(0), end(500), sound, start(500), end(ms)]
    assert (await heard(inputs, pre_roll_ms=0))[-1:] == ["turn on the light"]


@pytest.mark.parametrize("name", ["F32", "I32"])
async def test_sample_type_and_channels_make_no_difference(utterance: Utterance, name: str) -> None:
    samples = np.repeat(convert(utterance("turn on the light"), FORMATS[name]), 2, axis=1)
    assert await heard([Audio(samples, 16_000)]) == ["turn on the light"]


async def test_general_english_needs_no_grammar(utterance: Utterance) -> None:
    outputs = await run_node(PocketSphinx, [Audio(utterance("good morning"), 16_000)])
    assert outputs
    assert isinstance(outputs[0], Text)
    assert outputs[0].language == "en"


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        (GRAMMAR.replace("music", "blorptastic"), "the pronouncing dictionary lacks 'blorptastic'"),
        ("rubbish", "dictionary lacks|expected JSGF"),
        ("#JSGF V1.0;\ngrammar g;\n<command> = stop;\n", "one public rule"),
        ("#JSGF V1.0;\ngrammar g;\npublic <command> = (stop;\n", "expected JSGF"),
    ],
)
async def test_a_bad_grammar_is_refused_in_setup(grammar: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await heard([], grammar)


async def test_a_grammar_imports_no_file(
    utterance: Utterance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library would read one in the working folder."""
    (tmp_path / "commands.gram").write_text(GRAMMAR)
    monkeypatch.chdir(tmp_path)
    importing = (
        "#JSGF V1.0;\ngrammar g;\nimport <commands.command>;\npublic <any> = <commands.command>;\n"
    )
    sound = Audio(utterance("play music"), 16_000)
    assert await heard([sound]) == ["play music"]
    assert await heard([sound], importing) == []


async def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="at 16000 Hz, got 8000 Hz; an AudioOutputNode"):
        await heard([Audio(np.zeros(8, np.int16), 8_000)])


async def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penstock\[asr\]'"):
        await heard([])
