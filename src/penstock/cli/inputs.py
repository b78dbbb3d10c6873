"""What ``-i NODE=…`` names, as values in the size in which a pipeline gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.cli.wav import read_wav
from penstock.data import Audio, Binary, Json, Text, Value, replace
from penstock.errors import InputError

CHUNK_MS = 20
_TEXT, _JSON = "text:", "json:"


@dataclass(frozen=True, slots=True)
class Input:
    """What one ``-i`` sends to a node, ready to be sent; ``path`` is the file that it is from."""

    node_id: str
    values: Sequence[Value]
    path: Path | None = None


def read_input(argument: str) -> Input:
    """``NODE=FILE``, ``NODE=text:…`` or ``NODE=json:…``.

    A ``.wav`` becomes chunks of 20 ms, ``.jsonl`` a value for each line, ``.json`` and
    ``.txt`` one value, anything else one binary. Raises ``InputError`` for what is none of
    these, or can't be read.
    """
    node_id, equals, what = argument.partition("=")
    if not (node_id and equals and what):
        raise InputError(f"expected NODE=FILE, NODE=text:… or NODE=json:…, got {argument!r}")
    if what.startswith(_TEXT):
        return Input(node_id, [Text(what.removeprefix(_TEXT))])
    if what.startswith(_JSON):
        return Input(node_id, [Json(_parsed(what.removeprefix(_JSON), f"{node_id}=json:…"))])
    path = Path(what)
    return Input(node_id, _file_values(path), path)


def chunked(audio: Audio, chunk_ms: int = CHUNK_MS) -> Iterator[Audio]:
    """The audio in views of one length; the last may be shorter."""
    step = max(audio.sample_rate_hz * chunk_ms // 1000, 1)
    for start in range(0, len(audio.samples), step):
        yield replace(audio, samples=audio.samples[start : start + step])


def _file_values(path: Path) -> Sequence[Value]:
    match path.suffix.lower():
        case ".wav":
            return list(chunked(read_wav(path)))
        case ".txt":
            return [Text(_text(path))]
        case ".json":
            return [Json(_parsed(_text(path), str(path)))]
        case ".jsonl":
            return list(_json_lines(path))
        case _:
            return [Binary.from_bytes(_bytes(path))]


def _json_lines(path: Path) -> Iterator[Json]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            yield Json(_parsed(line, f"{path}:{number}"))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path} can't be read: {exc.strerror or exc}") from exc


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} is not UTF-8: {exc.reason} at byte {exc.start}") from exc


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{where} is no JSON: {exc}") from exc


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")
