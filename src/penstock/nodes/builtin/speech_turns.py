"""When somebody speaks: turns with a start and an end, from probabilities window by window.

Pure: knows nothing of audio or of the model behind the probabilities. Times are in ms from
the beginning of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

HYSTERESIS = 0.15
"""Speech is left below ``threshold - HYSTERESIS``, as Silero's own iterator does it."""


@dataclass(frozen=True, slots=True)
class TurnRules:
    """What makes a turn; see ``SileroVADNode`` for the meaning of each."""

    threshold: float
    min_speech_ms: int
    min_silence_ms: int
    pad_ms: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of speech, padded; ``end_ms`` is None until it is over."""

    start_ms: int
    end_ms: int | None = None


class SpeechTurns:
    """Follows one stream. ``voiced`` says whether the last window was speech."""

    def __init__(self, rules: TurnRules) -> None:
        self._rules = rules
        self._onset_ms: int | None = None
        self._voice_end_ms = 0
        self._earliest_ms = 0
        self._turn: Turn | None = None
        self.position_ms = 0
        self.voiced = False

    def step(self, probability: float) -> Turn | None:
        """Take the next window; gives the turn where this window starts or ends one."""
        begin = self.position_ms
        self.position_ms += self._rules.window_ms
        limit = self._rules.threshold - (HYSTERESIS if self.voiced else 0.0)
        self.voiced = probability >= limit
        if self.voiced:
            return self._heard(begin)
        if self.position_ms - self._voice_end_ms >= self._rules.min_silence_ms:
            return self.finish()
        return None

    def finish(self) -> Turn | None:
        """The turn that is open, ended here; None where there is none."""
        turn, self._turn, self._onset_ms = self._turn, None, None
        if turn is None:
            return None
        end = min(self._voice_end_ms + self._rules.pad_ms, self.position_ms)
        self._earliest_ms = end
        return Turn(turn.start_ms, end)

    def _heard(self, begin_ms: int) -> Turn | None:
        if self._onset_ms is None:
            self._onset_ms = begin_ms
        self._voice_end_ms = self.position_ms
        if self._turn is not None:
            return None
        if self._voice_end_ms - self._onset_ms < self._rules.min_speech_ms:
            return None
        start = max(self._onset_ms - self._rules.pad_ms, self._earliest_ms)
        self._turn = Turn(start)
        return self._turn
