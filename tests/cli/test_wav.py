from __future__ import annotations

import contextlib
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from penstock.cli.wav import read_wav, write_wav
from penstock.data import Audio
from penstock.errors import InputError

DTYPES = st.sampled_from([np.float32, np.int16, np.int32])
SAMPLES = DTYPES.flatmap(
    lambda dtype: arrays.arrays(dtype, st.tuples(st.integers(0, 50), st.integers(1, 4)))
)


@given(samples=SAMPLES, rate_hz=st.integers(1, 384_000), cut=st.integers(0, 50))
def test_what_is_written_is_read_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, samples: np.ndarray, rate_hz: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    pieces = [Audio(part, rate_hz) for part in (samples[:cut], samples[cut:])]
    write_wav(path, pieces)
    assert read_wav(path) == Audio(samples, rate_hz)


@given(data=st.binary(max_size=80), head=st.sampled_from([b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt "]))
def test_any_bytes_are_audio_or_wrong_input(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes
) -> None:
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    path.write_bytes(head + data)
    with contextlib.suppress(InputError):
        read_wav(path)


def test_others_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = np.array([[1, -2], [300, -400]], np.int16)
    write_wav(path, [Audio(samples, 8000)])
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        assert file.readframes(2) == samples.tobytes()


@pytest.mark.parametrize(
    ("width", "frames", "expected"),
    [
        (1, bytes([0, 128, 255]), np.array([-32768, 0, 32512], np.int16)),
        (3, b"\x01\0\0\xff\xff\xff\0\0\x80", np.array([256, -256, -(2**31)], np.int32)),
    ],
)
def test_other_widths_are_widened_to_full_scale(
    tmp_path: Path, width: int, frames: bytes, expected: np.ndarray
) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(frames)
    assert read_wav(path) == Audio(expected, 8000)


def test_an_extensible_header_and_unknown_chunks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    fmt = struct.pack("<HHIIHH", 0xFFFE, 1, 16_000, 64_000, 4, 32)
    fmt += struct.pack("<HHIH14x", 22, 32, 4, 3)
    data = np.array([0.5, -0.25], "<f4").tobytes()
    chunks = [(b"LIST", b"odd"), (b"fmt ", fmt), (b"data", data)]
    body = b"".join(
        name + struct.pack("<I", len(chunk)) + chunk + b"\0" * (len(chunk) % 2)
        for name, chunk in chunks
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body)
    assert read_wav(path) == Audio(np.array([0.5, -0.25], np.float32), 16_000)


def test_pieces_of_different_formats_are_refused(tmp_path: Path) -> None:
    pieces = [Audio(np.zeros(3, np.int16), rate_hz) for rate_hz in (8000, 16_000)]
    with pytest.raises(InputError, match=r"8000 Hz .* 16000 Hz"):
        write_wav(tmp_path / "a.wav", pieces)
    with pytest.raises(InputError, match="no audio to put in it"):
        write_wav(tmp_path / "a.wav", [])
    assert not (tmp_path / "a.wav").exists()
