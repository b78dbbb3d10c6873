"""EspeakNode and the voice behind it, on the real library."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from penstock.data import Audio, Text
from penstock.errors import LibraryError
from penstock.nodes.builtin.espeak import Espeak
from penstock.nodes.builtin.espeak_voice import EspeakVoice, Speech, synthesise
from penstock.testing import run_node


async def spoken(text: str, **params: object) -> list[Audio]:
    outputs = await run_node(Espeak, [Text(text)], params)
    return [output for output in outputs if isinstance(output, Audio)]


async def test_a_text_becomes_pieces_of_sound() -> None:
    pieces = await spoken("Okay, the kitchen light is off.")
    assert len(pieces) > 10
    for piece in pieces:
        assert piece.samples.dtype == np.int16
        assert piece.channels == 1
        assert piece.sample_rate_hz == 22_050
        assert piece.duration_s <= 0.061
    assert 1 < sum(piece.duration_s for piece in pieces) < 4
    assert max(np.abs(piece.samples.astype(int)).max() for piece in pieces) > 3_000


def pitch_hz(pieces: list[Audio]) -> float:
    """The strongest period between 70 and 400 Hz, by autocorrelation."""
    wave = np.concatenate([piece.samples[:, 0] for piece in pieces]).astype(float)
    spectrum = np.fft.rfft(wave, 2 * len(wave))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    lags = slice(22_050 // 400, 22_050 // 70)
    return 22_050 / (lags.start + int(np.argmax(correlation[lags])))


async def test_rate_and_pitch_are_heard() -> None:
    text = "no more lemon, no more melon"
    plain = await spoken(text)
    slow = await spoken(text, rateWpm=100)
    high = await spoken(text, pitch=90)
    assert sum(len(piece.samples) for piece in slow) > 1.3 * sum(len(p.samples) for p in plain)
    assert pitch_hz(high) > 1.2 * pitch_hz(plain)


async def test_the_voice_is_heard() -> None:
    text = "99, 99, 99"
    english, german = await spoken(text), await spoken(text, voice="de")
    lengths = [sum(len(piece.samples) for piece in pieces) for pieces in (english, german)]
    assert lengths[0] != pytest.approx(lengths[1], rel=0.1)


@pytest.mark.parametrize("text", ["", "  \n", "\0\x01"])
async def test_no_words_give_no_sound(text: str) -> None:
    assert await spoken(text) == []


async def test_commands_hidden_in_a_text_are_not_obeyed() -> None:
    hidden = await spoken("one two three four five \x0180S six seven eight nine ten")
    plain = await spoken("one two three four five  80S six seven eight nine ten")
    lengths = [sum(len(piece.samples) for piece in pieces) for pieces in (hidden, plain)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.02)


async def test_an_unknown_voice_is_refused_and_the_library_is_free_again() -> None:
    with pytest.raises(ValueError, match="no voice 'klingon-x'"):
        await spoken("hello", voice="klingon-x")
    assert await spoken("hello")


@pytest.mark.parametrize("voice", ["/tmp/own", "../own", "en/../own", "en+../own"])
def test_a_voice_is_a_name_and_no_file(voice: str) -> None:
    """The library would read one, wherever it lies."""
    with pytest.raises(ValueError, match="pattern"):
        Espeak.Params.model_validate({"voice": voice})


@pytest.mark.parametrize("voice", ["en-us", "en+f3", "en-gb-x-rp", "English_(America)"])
def test_names_of_voices_are_taken(voice: str) -> None:
    assert Espeak.Params.model_validate({"voice": voice})


def test_a_process_has_one_voice_at_a_time() -> None:
    with closing(EspeakVoice(Speech())), pytest.raises(LibraryError, match="multiprocess"):
        EspeakVoice(Speech())
    EspeakVoice(Speech()).close()


def test_speech_that_is_cut_short_leaves_nothing_behind() -> None:
    before = threading.active_count()
    with closing(EspeakVoice(Speech())) as voice:
        whole = sum(map(len, voice.speak("one two three")))
        speaking = voice.speak("word " * 2_000)
        next(speaking)
        speaking.close()
        assert threading.active_count() == before
        again = sum(map(len, voice.speak("one two three")))
        assert again == pytest.approx(whole, rel=0.05)


def test_synthesis_at_another_rate_lasts_as_long() -> None:
    at_16k = synthesise("play some music", 16_000)
    at_own = synthesise("play some music", 22_050)
    assert at_16k.sample_rate_hz == 16_000
    assert at_16k.samples.dtype == np.int16
    assert at_16k.duration_s == pytest.approx(at_own.duration_s, abs=0.05)
    assert synthesise("", 16_000).samples.shape == (0, 1)


def test_a_missing_library_is_named() -> None:
    script = (
        "import sys; sys.modules['espeakng_loader'] = None\n"
        "from penstock.nodes.builtin.espeak_voice import EspeakVoice, Speech\n"
        "EspeakVoice(Speech())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.stderr.splitlines()[-1].endswith(
        "MissingExtraError: EspeakNode needs espeakng-loader: pip install 'penstock[tts]'"
    )
