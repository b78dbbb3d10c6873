"""What leaves a pipeline: as lines, as JSON, or gathered into a file for each sink."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.cli.wav import write_wav
from penstock.data import Audio, Binary, Json, Kind, Tensor, Text, Value, Video, payload_bytes
from penstock.errors import InputError
from penstock.session import Output

_FITTING = {
    ".wav": frozenset({Kind.AUDIO}),
    ".txt": frozenset({Kind.TEXT}),
    ".json": frozenset({Kind.JSON, Kind.TEXT}),
    ".jsonl": frozenset({Kind.JSON, Kind.TEXT}),
}
_PAYLOADS = frozenset({Kind.AUDIO, Kind.BINARY, Kind.TENSOR, Kind.TEXT, Kind.VIDEO})
"""What any other file takes."""


def parse_outputs(arguments: Sequence[str], inputs: Sequence[Path] = ()) -> dict[str, Path]:
    """The file of each sink.

    Raises ``InputError`` for what is not ``NODE=FILE``, twice for one node, or one of
    ``inputs``.
    """
    files: dict[str, Path] = {}
    for argument in arguments:
        node_id, equals, path = argument.partition("=")
        if not (node_id and equals and path):
            raise InputError(f"expected NODE=FILE, got {argument!r}")
        if node_id in files:
            raise InputError(f"node {node_id!r} has two files: {files[node_id]} and {path}")
        if not Path(path).absolute().parent.is_dir():
            raise InputError(f"{path}: there is no folder {Path(path).parent}")
        if Path(path).resolve() in [one.resolve() for one in inputs]:
            raise InputError(f"{path} is an input, and can't be written")
        files[node_id] = Path(path)
    return files


def refuse_unfitting(path: Path, node_id: str, emits: frozenset[Kind]) -> None:
    """Raises ``InputError`` where nothing that the node gives can be in such a file."""
    suffix = path.suffix.lower()
    takes = _FITTING.get(suffix, _PAYLOADS)
    if not takes & emits:
        raise InputError(
            f"{path}: a {suffix or 'binary'} file takes {', '.join(sorted(takes))}, "
            f"but node {node_id!r} gives {', '.join(sorted(emits)) or 'nothing'}"
        )


class Files:
    """Gathers the outputs of the sinks that have a file, and writes them at the end."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._values: dict[str, list[Value]] = {node_id: [] for node_id in paths}

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._paths

    def add(self, output: Output) -> None:
        self._values[output.node_id].append(output.value)

    def write(self) -> Iterator[str]:
        """Write every file; gives a line about each. Raises ``InputError`` where it can't."""
        for node_id, path in self._paths.items():
            values = self._values[node_id]
            suffix = path.suffix.lower()
            fitting = [value for value in values if _fits(value, suffix)]
            _WRITERS.get(suffix, _write_bytes)(path, fitting)
            left_out = len(values) - len(fitting)
            note = f" ({left_out} outputs of other kinds left out)" if left_out else ""
            yield f"{path}: {len(fitting)} outputs of {node_id}{note}"


def as_data(output: Output) -> dict[str, Any]:
    """An output as ``--json`` prints it; arrays are described, not printed."""
    return {
        "node_id": output.node_id,
        "sequence": output.sequence,
        "part": output.part,
        "kind": str(output.value.kind),
        **described(output.value),
    }


def as_line(output: Output) -> str:
    """An output for a reader."""
    match output.value:
        case Text(text=text):
            shown = text
        case Json(value=value):
            shown = json.dumps(value, ensure_ascii=False)
        case other:
            shown = ", ".join(f"{name} {fact}" for name, fact in described(other).items())
    return f"{output.node_id} #{output.sequence} {output.value.kind}: {shown}"


def described(value: Value) -> dict[str, Any]:
    """What there is to say about a value in JSON."""
    match value:
        case Text():
            return {"text": value.text}
        case Json():
            return {"value": value.value}
        case Audio():
            return {
                "samples": len(value.samples),
                "channels": value.channels,
                "sample_rate_hz": value.sample_rate_hz,
                "dtype": value.samples.dtype.name,
            }
        case Video():
            return {"width": value.width, "height": value.height, "bytes": payload_bytes(value)}
        case Tensor():
            return {"shape": list(value.array.shape), "dtype": value.array.dtype.name}
    return {"bytes": payload_bytes(value)}


def _fits(value: Value, suffix: str) -> bool:
    return value.kind in _FITTING.get(suffix, _PAYLOADS)


def _write_wav(path: Path, values: Sequence[Value]) -> None:
    write_wav(path, [value for value in values if isinstance(value, Audio)])


def _write_text(path: Path, values: Sequence[Value]) -> None:
    lines = [f"{value.text}\n" for value in values if isinstance(value, Text)]
    _write(path, "".join(lines).encode())


def _write_json(path: Path, values: Sequence[Value]) -> None:
    _write(path, json.dumps(_plain(values), ensure_ascii=False, indent=2).encode() + b"\n")


def _write_json_lines(path: Path, values: Sequence[Value]) -> None:
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in _plain(values)]
    _write(path, "".join(lines).encode())


def _plain(values: Sequence[Value]) -> list[Any]:
    """What JSON says of them; a text is a string."""
    return [
        value.text if isinstance(value, Text) else value.value
        for value in values
        if isinstance(value, Json | Text)
    ]


def _write_bytes(path: Path, values: Sequence[Value]) -> None:
    _write(path, b"".join(_payload(value) for value in values))


def _payload(value: Value) -> bytes:
    match value:
        case Audio():
            return value.samples.tobytes()
        case Tensor():
            return value.array.tobytes()
        case Video():
            return value.pixels.tobytes()
        case Binary():
            return value.data.tobytes()
        case Text():
            return value.text.encode()
    return b""


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as exc:
        raise InputError(f"{path} can't be written: {exc.strerror or exc}") from exc


_WRITERS: dict[str, Callable[[Path, Sequence[Value]], None]] = {
    ".wav": _write_wav,
    ".txt": _write_text,
    ".json": _write_json,
    ".jsonl": _write_json_lines,
}
