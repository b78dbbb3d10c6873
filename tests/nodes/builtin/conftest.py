"""Sound for the speech nodes: made by espeak-ng, as no recording is in the repository."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from penstock.data import Audio
from penstock.nodes.builtin.espeak_voice import synthesise

RATE = 16_000


@functools.cache
def _utterance(text: str) -> np.ndarray:
    samples = synthesise(text, RATE).samples
    samples.flags.writeable = False
    return samples


@pytest.fixture(scope="session")
def utterance() -> Callable[[str], np.ndarray]:
    """A text's sound: 16 kHz, (samples, 1) int16."""
    return _utterance


@pytest.fixture(scope="session")
def stream() -> Callable[..., list[Audio]]:
    """Texts as 20 ms chunks, with 0.6 s of silence before and after each."""

    def chunks(*texts: str, size: int = 320) -> list[Audio]:
        pause = np.zeros((6 * RATE // 10, 1), np.int16)
        parts = [pause]
        for text in texts:
            parts += [_utterance(text), pause]
        signal = np.concatenate(parts)
        return [Audio(signal[i : i + size], RATE) for i in range(0, len(signal), size)]

    return chunks
