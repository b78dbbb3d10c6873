"""What the demo says: speech as a microphone would deliver it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock.cli.inputs import CHUNK_MS, chunked
from penstock.cli.wav import read_wav
from penstock.data import Audio
from penstock.errors import InputError
from penstock.nodes.builtin.espeak_voice import synthesise
from penstock.nodes.builtin.resampler import Resampler

SAMPLE_RATE_HZ = 16_000
LEAD_S = 0.3
TAIL_S = 1.0
"""Silence before and after: the room, in which a voice detector hears that speech has ended."""
_AUDIBLE = 0.01
"""Of full scale: below −40 dB nobody speaks."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Chunks of 20 ms; speech ends in that with the index ``last_spoken``."""

    audio: Audio
    chunks: Sequence[Audio]
    last_spoken: int

    @classmethod
    def of(cls, audio: Audio) -> Utterance:
        """Wrap speech at 16 kHz in silence; raises ``InputError`` where nothing is audible."""
        padded = _padded(audio)
        full_scale = np.iinfo(padded.samples.dtype).max if padded.samples.dtype.kind == "i" else 1
        loud = np.abs(padded.samples.astype(np.float64)).max(axis=1) > _AUDIBLE * full_scale
        if not loud.any():
            raise InputError("there is nothing to hear in this audio")
        chunks = list(chunked(padded))
        return cls(padded, chunks, int(np.flatnonzero(loud)[-1]) // len(chunks[0].samples))

    @classmethod
    def said(cls, text: str) -> Utterance:
        """A text, spoken by espeak-ng."""
        return cls.of(synthesise(text, SAMPLE_RATE_HZ))

    @classmethod
    def recorded(cls, path: Path) -> Utterance:
        """A WAV file, brought to 16 kHz."""
        audio = read_wav(path)
        if audio.sample_rate_hz != SAMPLE_RATE_HZ:
            resampler = Resampler(
                audio.sample_rate_hz,
                SAMPLE_RATE_HZ,
                channels=audio.channels,
                dtype=audio.samples.dtype,
            )
            pieces = [resampler.push(audio.samples), resampler.finish()]
            audio = Audio(np.concatenate(pieces), SAMPLE_RATE_HZ)
        return cls.of(audio)

    @property
    def chunk_s(self) -> float:
        return CHUNK_MS / 1000


def _padded(audio: Audio) -> Audio:
    def silence(seconds: float) -> np.ndarray[tuple[int, int], np.dtype[np.generic]]:
        return np.zeros((int(seconds * SAMPLE_RATE_HZ), audio.channels), audio.samples.dtype)

    return Audio(np.concatenate([silence(LEAD_S), audio.samples, silence(TAIL_S)]), SAMPLE_RATE_HZ)
