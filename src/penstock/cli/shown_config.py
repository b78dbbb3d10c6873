"""The configuration as ``penstock.toml`` would have it, each value with where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

HIDDEN = "…"
"""Stands for what may be a secret: parameters of nodes, passwords in addresses."""
_SECRETS = ("service.prewarm.params",)
_COLUMN = 56


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from: ``special`` ones by their paths, written ones from ``file``."""

    special: Mapping[str, str]
    file: str

    def of(self, path: str, *, written: bool) -> str:
        return self.special.get(path) or (self.file if written else "default")

    def at(self, path: str, name: str, table: BaseModel) -> str:
        """Of the value that ``table`` has under a name."""
        return self.of(path, written=name in table.model_fields_set)


def config_lines(settings: BaseModel, sources: Sources, path: str = "") -> Iterator[str]:
    """A line for each value below ``path``: TOML, with its source as a comment behind it.

    Plain values come first, and then the tables, as TOML wants it.
    """
    if path:
        yield f"[{path}]"
        for name, value in settings:
            if not _is_nested(value):
                yield _line(name, value, sources.at(f"{path}.{name}", name, settings))
        yield ""
    for name, value in settings:
        if _is_nested(value) or not path:
            below = f"{path}.{name}" if path else name
            written = name in settings.model_fields_set
            yield from _table_lines(value, sources, below, written=written)


def _table_lines(value: Any, sources: Sources, path: str, *, written: bool) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from config_lines(value, sources, path)
    elif isinstance(value, Mapping):  # its keys are the operator's own
        yield f"[{path}]"
        for key, one in value.items():
            yield _line(json.dumps(key), one, sources.of(f"{path}.{key}", written=written))
        if not value:
            yield _commented("# none", sources.of(path, written=written))
        yield ""
    else:
        for item in value:
            yield f"[[{path}]]"
            for name, one in item:
                below = f"{path}.{name}"
                told = dict.fromkeys(one, HIDDEN) if below in _SECRETS else one
                yield _line(name, told, sources.at(below, name, item))
            yield ""


def _is_nested(value: Any) -> bool:
    """Whether it is a table of its own, with something in it."""
    if isinstance(value, tuple):
        return bool(value) and isinstance(value[0], BaseModel)
    return isinstance(value, BaseModel) or (isinstance(value, Mapping) and bool(value))


def _line(key: str, value: Any, source: str) -> str:
    said = f"# {key}: not set" if value is None else f"{key} = {_toml(value)}"
    return _commented(said, source)


def _commented(said: str, source: str) -> str:
    return f"{said:<{_COLUMN}}  # {source}"


def _toml(value: Any) -> str:
    if isinstance(value, Enum):
        return _toml(value.value)
    if isinstance(value, Mapping):
        items = (f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        value = _without_password(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _without_password(text: str) -> str:
    """An address without who it is for."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not parts.scheme or "@" not in parts.netloc:
        return text
    return parts._replace(netloc=f"{HIDDEN}@{parts.netloc.rpartition('@')[2]}").geturl()
