"""A voice of espeak-ng; the only file that knows its library.

The library keeps one voice in global state, so a process can have one ``EspeakVoice`` at a
time. It is under the GPL: an extra, loaded when the first voice is made. Once loaded it stays,
since it doesn't survive being terminated and initialised again.
"""

from __future__ import annotations

import ctypes
import functools
import queue
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.data import Audio
from penstock.errors import LibraryError
from penstock.nodes.builtin.extras import ESPEAK
from penstock.nodes.builtin.resampler import Resampler

# speak_lib.h of espeak-ng 1.52
_SYNCHRONOUS = 2
_DONT_EXIT = 1 << 15
_RATE, _PITCH = 1, 3
_CHARACTER_POSITION = 1
_UTF8 = 1
_PIECE_MS = 60  # the shortest that the library makes
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)
_in_use = threading.Lock()


@dataclass(frozen=True, slots=True)
class Speech:
    """How to speak: the voice's name, words per minute, and pitch from 0 to 99."""

    voice: str = "en"
    rate_wpm: int = 175
    pitch: int = 50


SPEAKER = Speech("en-us", rate_wpm=150)
"""Clear and unhurried: what a recogniser of American English understands best."""


class EspeakVoice:
    """Speaks with one voice; ``close`` before another is made in the same process.

    ``sample_rate_hz`` is the library's (22050 in current builds). Raises ``ValueError`` for a
    voice that it doesn't have, ``MissingExtraError`` where espeak-ng isn't installed, and
    ``LibraryError`` where it fails or another voice is open in this process.
    """

    def __init__(self, speech: Speech) -> None:
        self._library, self.sample_rate_hz = _loaded()
        if not _in_use.acquire(blocking=False):
            raise LibraryError(
                "espeak-ng can have one voice in a process, and one is open: "
                "run each EspeakNode on the multiprocess executor"
            )
        self._pieces: queue.Queue[NDArray[np.int16] | None] = queue.Queue(maxsize=8)
        self._stopped = False
        self._callback = _Callback(self._deliver)
        if self._library.espeak_SetVoiceByName(speech.voice.encode()) != 0:
            self.close()
            raise ValueError(f"voice: espeak-ng has no voice {speech.voice!r}; try 'en' or 'de'")
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_SetParameter(_RATE, speech.rate_wpm, 0)
        self._library.espeak_SetParameter(_PITCH, speech.pitch, 0)

    def close(self) -> None:
        """Leave the library to the next voice."""
        self._library.espeak_SetSynthCallback(_Callback())
        _in_use.release()

    def speak(self, text: str) -> Iterator[NDArray[np.int16]]:
        """The sound of a text, one-dimensional int16, piece by piece while it is made.

        Control characters, which the library would take as commands, are read as spaces.
        Closing the iterator early stops the synthesis.
        """
        spoken = "".join(char if char.isprintable() else " " for char in text)
        if not spoken.strip():
            return
        failures: list[int] = []
        self._stopped = False
        thread = threading.Thread(target=self._synthesise, args=(spoken.encode(), failures))
        thread.start()
        piece = self._pieces.get()
        try:
            while piece is not None:
                yield piece
                piece = self._pieces.get()
        finally:
            self._stopped = True
            while piece is not None:
                piece = self._pieces.get()
            thread.join()
        if failures:
            raise LibraryError(f"espeak_Synth: expected status 0, got {failures[0]}")

    def _synthesise(self, text: bytes, failures: list[int]) -> None:
        try:
            status = self._library.espeak_Synth(
                text, len(text) + 1, 0, _CHARACTER_POSITION, 0, _UTF8, None, None
            )
            if status != 0:
                failures.append(status)
        finally:
            self._pieces.put(None)

    def _deliver(self, wave: Any, count: int, _events: Any) -> int:
        """Called by the library from its own synthesis; 1 asks it to stop."""
        if wave and count > 0 and not self._stopped:
            self._pieces.put(np.ctypeslib.as_array(wave, (count,)).copy())
        return int(self._stopped)


def synthesise(text: str, sample_rate_hz: int, speech: Speech = SPEAKER) -> Audio:
    """The whole sound of a text, mono int16, at any rate.

    Raises what ``EspeakVoice`` and ``Resampler`` raise.
    """
    with closing(EspeakVoice(speech)) as voice:
        sound = np.concatenate([np.empty(0, dtype=np.int16), *voice.speak(text)]).reshape(-1, 1)
        rate = voice.sample_rate_hz
    if rate != sample_rate_hz:
        resampler = Resampler(rate, sample_rate_hz, channels=1, dtype=sound.dtype)
        sound = np.concatenate([resampler.push(sound), resampler.finish()])
    return Audio(sound, sample_rate_hz)


@functools.cache
def _loaded() -> tuple[Any, int]:
    """The library, initialised once in a process, and its sample rate in Hz."""
    try:
        import espeakng_loader  # noqa: PLC0415  # an extra
    except ImportError as exc:
        raise ESPEAK.error() from exc
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Synth.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    data = espeakng_loader.get_data_path().encode()
    rate = int(library.espeak_Initialize(_SYNCHRONOUS, _PIECE_MS, data, _DONT_EXIT))
    if rate <= 0:
        raise LibraryError(f"espeak_Initialize: expected a sample rate, got {rate}")
    return library, rate
