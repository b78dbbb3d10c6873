"""Turns text into speech with espeak-ng."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from penstock.data import Audio, ExecutorType, Text
from penstock.nodes.base import Node, node
from penstock.nodes.builtin.espeak_voice import EspeakVoice, Speech
from penstock.nodes.params import NodeParams


class EspeakParams(NodeParams):
    """How the voice sounds."""

    voice: str = Field(
        "en",
        max_length=64,
        pattern=r"^[\w+() -]+$",  # the library takes a path, too: no file is for clients to choose
        description="espeak-ng's name of the voice: en-us, de …",
    )
    rate_wpm: int = Field(175, ge=80, le=450, description="words per minute")
    pitch: int = Field(50, ge=0, le=99, description="pitch; 50 is normal")


@node("EspeakNode", executor=ExecutorType.MULTIPROCESS)
class Espeak(Node):
    """Speak texts with espeak-ng.

    Gives mono int16 audio at the library's own rate (22,050 Hz; an `AudioOutputNode` makes
    another of it), in pieces of 60 ms that leave while the rest is still being made. A text without
    words gives nothing. The library has one voice per process, so that several nodes of this
    type need the multiprocess executor, which is the default. Needs
    `pip install 'penstock[tts]'`; espeak-ng is under the GPL.
    """

    Params = EspeakParams
    params: EspeakParams
    _voice: EspeakVoice | None = None

    def setup(self) -> None:
        speech = Speech(self.params.voice, self.params.rate_wpm, self.params.pitch)
        self._voice = EspeakVoice(speech)

    def process(self, item: Text) -> Iterator[Audio]:
        voice = self._voice
        if voice is not None:
            for piece in voice.speak(item.text):
                yield Audio(piece, voice.sample_rate_hz)

    def teardown(self) -> None:
        voice, self._voice = self._voice, None
        if voice is not None:
            voice.close()
