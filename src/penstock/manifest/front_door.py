"""The front door: a source as plain, bounded data, before any model sees it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock.errors import Fault, ManifestError
from penstock.manifest.faults import Location, path_of, shown
from penstock.manifest.json_text import read_json
from penstock.manifest.yaml_text import MAX_DEPTH, read_yaml

MAX_BYTES = 1 << 20
"""The largest manifest, as text or as a message."""
_READERS: dict[str, Callable[[str], Any]] = {
    ".json": read_json,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}
"""By what a file is called; what has no such name is read by how it begins."""
MAX_VALUES = MAX_BYTES // 2
"""No text of ``MAX_BYTES`` has more values; data that was never text has the same bound."""

_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1
_MOST_FAULTS = 100

Source = str | bytes | os.PathLike[str] | Mapping[str, Any]


def read_source(source: Source) -> Any:
    """The plain data that a text, a path or a mapping holds, copied.

    A ``str`` is text where it has a newline or starts with ``{``, otherwise a path. A file called
    ``.json``, ``.yaml`` or ``.yml`` is that; else what starts with ``{`` or ``[`` is JSON. Raises
    ``ManifestError`` for what can't be read, is larger than 1 MiB or 32 levels, or holds
    something that is no JSON value: NaN, infinities, integers beyond 64 bits, lone surrogates.
    """
    if isinstance(source, Mapping):
        data: Any = source
    elif isinstance(source, bytes):
        data = _read_text(_decoded(source))
    elif isinstance(source, str) and ("\n" in source or source.lstrip().startswith("{")):
        data = _read_text(source)
    elif isinstance(source, str | os.PathLike):
        data = _read_file(source)
    else:
        raise _fault(f"a manifest can't be {type(source).__name__}", type(source).__name__)
    return _Admission().admitted(data)


def read_params(text: str) -> Any:
    """A JSON text that is a part of a manifest, such as a node's parameters on the wire."""
    return _Admission().admitted(read_json(_bounded(text)))


def _read_file(source: str | os.PathLike[str]) -> Any:
    try:
        path = Path(source)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, TypeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise _fault(f"{shown(str(source))} can't be read: {reason}", str(source)) from exc
    try:
        return _read_text(_decoded(content), path.suffix.lower())
    except ManifestError as exc:
        name = str(source)
        named = [replace(fault, message=f"{name!r}: {fault.message}") for fault in exc.faults]
        raise ManifestError(named) from exc


def _decoded(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _too_large()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _fault(f"is not UTF-8: {exc.reason} at byte {exc.start}", "bytes") from exc


def _read_text(text: str, suffix: str = "") -> Any:
    _bounded(text)
    begins = read_json if text.lstrip()[:1] in ("{", "[") else read_yaml
    return _READERS.get(suffix, begins)(text)


def _bounded(text: str) -> str:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _too_large()
    return text


def _too_large() -> ManifestError:
    return _fault(f"is larger than {MAX_BYTES} bytes", f"more than {MAX_BYTES} bytes")


class _Admission:
    """One walk over a document: copies it, counts its values, collects its faults."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._values = 0

    def admitted(self, data: Any) -> Any:
        plain = self._plain(data, ())
        if self._faults:
            raise ManifestError(self._faults)
        return plain

    def _plain(self, value: Any, at: Location) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise ManifestError([Fault("", f"has more than {MAX_VALUES} values")])
        match value:
            case str():
                return self._text(value, at)
            case None | bool():
                return value
            case int():
                return self._integer(value, at)
            case float():
                return self._number(value, at)
            case Mapping() | list() | tuple():
                return self._collection(value, at)
        return self._refuse(at, f"{type(value).__name__} is no JSON value", type(value).__name__)

    def _collection(self, value: Any, at: Location) -> Any:
        if len(at) == MAX_DEPTH:
            return self._refuse(at, f"is nested more than {MAX_DEPTH} levels deep", "more")
        if isinstance(value, Mapping):
            return {
                name: self._plain(item, (*at, name))
                for key, item in value.items()
                if (name := self._key(key, at)) is not None
            }
        return [self._plain(item, (*at, index)) for index, item in enumerate(value)]

    def _key(self, key: Any, at: Location) -> str | None:
        if isinstance(key, str):
            return self._text(key, at)
        kind = type(key).__name__
        self._refuse(at, f"has a key that is {kind}, not text", kind)
        return None

    def _text(self, text: str, at: Location) -> str:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                self._refuse(at, "text with a lone surrogate is not Unicode", "a lone surrogate")
        return str(text)

    def _integer(self, number: int, at: Location) -> int:
        if not _SMALLEST <= number <= _LARGEST:
            self._refuse(at, "an integer must fit 64 bits", "a larger integer")
        return int(number)

    def _number(self, number: float, at: Location) -> float:
        if not math.isfinite(number):
            self._refuse(at, f"must be a finite number, got {number}", str(number))
        return float(number)

    def _refuse(self, at: Location, message: str, found: str) -> None:
        self._faults.append(Fault(path_of(at), message, found=found))
        if len(self._faults) == _MOST_FAULTS:
            raise ManifestError(self._faults)


def _fault(message: str, found: str) -> ManifestError:
    return ManifestError([Fault("", message, found=found)])
