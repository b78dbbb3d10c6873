"""Turns speech into text with PocketSphinx; the only file that knows pocketsphinx."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penstock.data import Audio, ExecutorType, Json, Text
from penstock.nodes.base import Node, node
from penstock.nodes.builtin.extras import POCKET_SPHINX
from penstock.nodes.builtin.sample_format import FORMATS, mono
from penstock.nodes.builtin.utterances import Recording
from penstock.nodes.params import NodeParams

BEAM = 1e-80
"""Wider than PocketSphinx's 1e-48, which loses the ends of sentences to a small grammar."""
NOISE_FLOOR = 32
"""About −60 dBFS. The model was trained on recordings: digital silence derails it."""
MARGIN_MS = 500
"""Noise floor before and after an utterance, for the decoder to settle in."""
_NO_FOLDER = os.devnull
"""Where the decoder looks for grammars that one imports: no file is for clients to choose."""
_GRAMMAR_TOKEN = re.compile(
    r"^\#JSGF[^\n]* | ^[ \t]*(?:grammar|import)\b[^\n]* | //[^\n]*"
    r"| /\*(?:[^*]|\*(?!/))*(?:\*/|\Z) | \{[^}]*(?:\}|\Z) | <[^>]*(?:>|\Z) | /[\d.]+/"
    r"| (?P<word>[\w'.-]+)",
    re.MULTILINE | re.VERBOSE,
)


class PocketSphinxParams(NodeParams):
    """What may be said, and how an utterance is cut."""

    grammar: str | None = Field(
        None,
        max_length=65_536,
        description="JSGF grammar with one public rule; null means general English",
    )
    sampling_rate: Literal[16000] = Field(
        16000, description="rate in Hz of the audio; the acoustic model knows no other"
    )
    pre_roll_ms: int = Field(
        200, ge=0, le=5_000, description="sound decoded besides, from before the turn's start"
    )
    max_utterance_s: float = Field(
        30.0, ge=1, le=300, description="a longer utterance is decoded in pieces of this length"
    )


@node("PocketSphinxNode", executor=ExecutorType.MULTIPROCESS)
class PocketSphinx(Node):
    """Recognise English speech with PocketSphinx; one text for each utterance.

    With the outputs of a `SileroVADNode` as inputs, an utterance is a turn of speech: the
    audio between `is_speech_start` and `is_speech_end`. Without such events, it is everything
    up to the end of the stream. Other JSON is ignored. An utterance in which nothing is
    recognised gives nothing. With a `grammar` nothing but its sentences is known: whatever else
    is said gives the one that it is most like, or nothing, where that is left unfinished.

    Audio at 16 kHz, any chunk size, sample type and number of channels. Audio at another rate
    is a `ValueError` (an `AudioOutputNode` before it resamples), and so is a grammar that can't
    be read or has words that the pronouncing dictionary lacks. Results depend on the utterance
    alone, not on what was said before it. Needs `pip install 'penstock[asr]'`.
    """

    Params = PocketSphinxParams
    params: PocketSphinxParams

    def setup(self) -> None:
        self.ctx.progress(0.1, "loading the acoustic model")
        self._recogniser = Recogniser(self.params.grammar)
        self._recording = Recording()
        self._turns_known = False
        self._in_turn = False

    def process(self, item: Audio | Json) -> Iterator[Text]:
        if isinstance(item, Json):
            yield from self._event(item.value)
        else:
            yield from self._audio(item)

    def flush(self) -> Iterator[Text]:
        if self._in_turn or not self._turns_known:
            yield from self._decoded(self._recording.end)

    def interrupt(self) -> None:
        self._recording.forget(self._recording.end)
        self._in_turn = False

    def _audio(self, item: Audio) -> Iterator[Text]:
        if item.sample_rate_hz != self.params.sampling_rate:
            raise ValueError(
                f"expected audio at {self.params.sampling_rate} Hz, got {item.sample_rate_hz} Hz; "
                "an AudioOutputNode before it can resample"
            )
        self._recording.append(mono(item.samples, FORMATS["I16"]))
        limit = int(self.params.max_utterance_s * self.params.sampling_rate)
        if self._turns_known and not self._in_turn:
            self._recording.forget(self._recording.end - limit)
            return
        while len(self._recording) >= limit:
            yield from self._decoded(self._recording.start + limit)

    def _event(self, event: Any) -> Iterator[Text]:
        if not isinstance(event, dict) or "is_speech_start" not in event:
            return
        self._turns_known = True
        if event["is_speech_start"]:
            start = self._position(event.get("speech_start_ms"))
            self._recording.forget(start - self._samples(self.params.pre_roll_ms))
            self._in_turn = True
        if event.get("is_speech_end") and self._in_turn:
            self._in_turn = False
            yield from self._decoded(self._position(event.get("speech_end_ms")))

    def _decoded(self, until: int) -> Iterator[Text]:
        text = self._recogniser.recognise(self._recording.take(until))
        if text:
            yield Text(text, language="en")

    def _position(self, ms: Any) -> int:
        """A turn's bound in samples; now, where the detector doesn't say."""
        return self._samples(ms) if isinstance(ms, int | float) else self._recording.end

    def _samples(self, ms: float) -> int:
        return int(ms * self.params.sampling_rate / 1000)


class Recogniser:
    """A decoder with its grammar; raises ``ValueError`` where the grammar is of no use."""

    def __init__(self, grammar: str | None) -> None:
        try:
            from pocketsphinx import Decoder  # noqa: PLC0415  # an extra
        except ImportError as exc:
            raise POCKET_SPHINX.error() from exc
        # Cepstra are normalised over the utterance itself: nothing carries over to the next.
        settings = {"beam": BEAM, "pbeam": BEAM, "wbeam": BEAM, "cmn": "batch", "loglevel": "FATAL"}
        self._sentences: Any = None
        if grammar is None:
            self._decoder = Decoder(**settings)
        else:
            self._decoder = Decoder(lm=None, **settings)
            os.environ["JSGF_PATH"] = _NO_FOLDER
            self._install(grammar)

    def recognise(self, signal: NDArray[np.int16]) -> str:
        """What is said in 16 kHz mono int16; empty where nothing is, or no whole sentence."""
        if not len(signal):
            return ""
        self._decoder.start_utt()
        self._decoder.process_raw(_on_noise_floor(signal).tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        text = found.hypstr if found is not None else ""
        whole = self._sentences is None or self._sentences.accept(text)
        return text if whole else ""

    def _install(self, grammar: str) -> None:
        unknown = sorted(
            word for word in _words(grammar) if self._decoder.lookup_word(word) is None
        )
        if unknown:
            raise ValueError(
                "grammar: the pronouncing dictionary lacks "
                f"{', '.join(map(repr, unknown))} (its words are in lower case)"
            )
        try:
            self._sentences = self._decoder.parse_jsgf(grammar)
            self._decoder.add_jsgf_string("grammar", grammar)
            self._decoder.activate_search("grammar")
        except (ValueError, RuntimeError) as exc:
            raise ValueError(
                f"grammar: expected JSGF with one public rule, got {grammar[:60]!r} ({exc})"
            ) from exc


def _words(grammar: str) -> set[str]:
    """What may be said by a JSGF grammar: all but its header, comments, names and weights."""
    found = {match["word"] for match in _GRAMMAR_TOKEN.finditer(grammar)}
    return {word for word in found if word} - {"public"}


def _on_noise_floor(signal: NDArray[np.int16]) -> NDArray[np.int16]:
    """The signal with faint noise under, before and after it; the same noise every time."""
    margin = np.zeros(16 * MARGIN_MS, dtype=np.int32)
    wide = np.concatenate([margin, signal, margin])
    noise = np.random.default_rng(0).integers(-NOISE_FLOOR, NOISE_FLOOR + 1, len(wide))
    return np.clip(wide + noise, -32768, 32767).astype(np.int16)
