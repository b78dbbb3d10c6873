"""WAV files: integer PCM of 8 to 32 bits and 32-bit float, as read and as written.

Chunks and formats as in Microsoft's "Multimedia Programming Interface and Data
Specifications 1.0" and ``WAVEFORMATEXTENSIBLE``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.data import Audio
from penstock.errors import InputError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FORMAT = struct.Struct("<HHIIHH")
_LARGEST = 0xFFFFFFFF - 36


def read_wav(path: Path) -> Audio:
    """A whole file: float32, int16 (from 8 and 16 bits) or int32 (from 24 and 32).

    Raises ``InputError`` for what can't be read, or is none of these.
    """
    try:
        data = memoryview(path.read_bytes())
    except OSError as exc:
        raise InputError(f"{path} can't be read: {exc.strerror or exc}") from exc
    if bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        raise InputError(f"{path} is no WAV file")
    chunks = _chunks(data)
    if b"data" not in chunks or len(chunks.get(b"fmt ", b"")) < _FORMAT.size:
        raise InputError(f"{path}: expected the chunks 'fmt ' and 'data', got {sorted(chunks)}")
    header = chunks[b"fmt "]
    code, channels, rate_hz, _, _, bits = _FORMAT.unpack_from(header)
    if code == _EXTENSIBLE and len(header) >= 26:
        code = int.from_bytes(header[24:26], "little")
    if channels == 0 or rate_hz == 0:
        raise InputError(f"{path}: expected channels and a rate, got {channels} and {rate_hz} Hz")
    samples = _samples(chunks[b"data"], code, bits)
    if samples is None:
        raise InputError(
            f"{path}: expected PCM of 8, 16, 24 or 32 bits or float of 32, "
            f"got format {code} of {bits} bits"
        )
    whole = len(samples) // channels * channels
    return Audio(samples[:whole].reshape(-1, channels), rate_hz)


def _chunks(data: memoryview) -> dict[bytes, memoryview]:
    """The first chunk of each name; one that the file cuts short is as long as it is there."""
    found: dict[bytes, memoryview] = {}
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.setdefault(bytes(data[at : at + 4]), data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def _samples(data: memoryview, code: int, bits: int) -> NDArray[Any] | None:
    data = data[: len(data) // max(bits // 8, 1) * max(bits // 8, 1)]
    match code, bits:
        case (1, 8):  # unsigned, around 128
            return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
        case (1, 16):
            return np.frombuffer(data, "<i2")
        case (1, 24):
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return wide.view("<i4").reshape(-1)
        case (1, 32):
            return np.frombuffer(data, "<i4")
        case (3, 32):
            return np.frombuffer(data, "<f4")
    return None


def write_wav(path: Path, pieces: Sequence[Audio]) -> None:
    """One file of all pieces, in their sample type.

    Raises ``InputError`` where there are none, they differ in rate, channels or type, or are
    too long for the format (4 GiB), and where the file can't be written.
    """
    if not pieces:
        raise InputError(f"{path}: there is no audio to put in it")
    formats = {(one.sample_rate_hz, one.channels, one.samples.dtype.str) for one in pieces}
    if len(formats) != 1:
        found = ", ".join(f"{rate} Hz × {n} {kind}" for rate, n, kind in sorted(formats))
        raise InputError(f"{path}: expected audio of one format, got {found}")
    rate_hz, channels, _ = formats.pop()
    dtype = pieces[0].samples.dtype
    size = sum(one.samples.nbytes for one in pieces)
    if size > _LARGEST:
        raise InputError(f"{path}: {size} bytes are too many for a WAV file")
    code = _FLOAT if dtype.kind == "f" else _PCM
    frame = channels * dtype.itemsize
    header = _FORMAT.pack(code, channels, rate_hz, rate_hz * frame, frame, dtype.itemsize * 8)
    try:
        with path.open("wb") as file:
            file.write(struct.pack("<4sI8sI", b"RIFF", 36 + size, b"WAVEfmt ", len(header)))
            file.write(header)
            file.write(struct.pack("<4sI", b"data", size))
            for one in pieces:
                file.write(np.ascontiguousarray(one.samples).tobytes())
    except OSError as exc:
        raise InputError(f"{path} can't be written: {exc.strerror or exc}") from exc
