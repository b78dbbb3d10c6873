"""YAML text as plain data: YAML 1.2's core schema, built from parser events.

Built without recursion, and without anchors, aliases, merge keys or tags, so that a document
is never larger than its text. ``no`` and ``2026-01-01`` are text, as in YAML 1.2.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from penstock.errors import Fault, ManifestError

MAX_DEPTH = 32
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,20}|0o[0-7]{1,22}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MISSING = object()


def read_yaml(text: str) -> Any:
    """The value of the one document in ``text``.

    Raises ``ManifestError`` for what is no YAML, duplicate keys, keys that aren't text,
    NaN and infinities, anchors, aliases, tags, and more than 32 levels.
    """
    building = _Building()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            building.take(event)
    except yaml.MarkedYAMLError as exc:
        problem = exc.problem or "can't be parsed"
        raise _fault(f"is not YAML: {problem}", exc.problem_mark) from exc
    except yaml.YAMLError as exc:  # a character that YAML doesn't allow
        raise _fault(f"is not YAML: {str(exc).splitlines()[0]}", None) from exc
    return building.document


class _Building:
    """The document so far: ``_open`` are the collections that haven't ended."""

    def __init__(self) -> None:
        self.document: Any = None
        self._documents = 0
        self._open: list[tuple[Any, list[Any]]] = []

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _fault("has more than one document", event.start_mark)
            case yaml.AliasEvent():
                raise _fault("has an alias; write the value out", event.start_mark)
            case yaml.ScalarEvent():
                _refuse_marks(event)
                self._add(_scalar(event), event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                _refuse_marks(event)
                self._enter(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()

    def _enter(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._open) == MAX_DEPTH:
            raise _fault(f"is nested more than {MAX_DEPTH} levels deep", event.start_mark)
        collection: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._add(collection, event)
        self._open.append((collection, [_MISSING]))

    def _add(self, value: Any, event: yaml.Event) -> None:
        if not self._open:
            self.document = value
            return
        collection, key = self._open[-1]
        if isinstance(collection, list):
            collection.append(value)
        elif key[0] is _MISSING:
            key[0] = self._key(collection, value, event)
        else:
            collection[key[0]] = value
            key[0] = _MISSING

    def _key(self, collection: dict[str, Any], key: Any, event: yaml.Event) -> str:
        if not isinstance(key, str):
            raise _fault("has a key that is not text; put it in quotes", event.start_mark)
        if key == "<<":
            raise _fault("has a merge key; write the values out", event.start_mark)
        if key in collection:
            raise _fault(f"key {key[:80]!r} is written twice in one object", event.start_mark)
        return key


def _refuse_marks(event: Any) -> None:
    if event.anchor is not None:
        raise _fault("has an anchor; write the value out where it is used", event.start_mark)
    if event.tag is not None and event.tag != "!":
        raise _fault(f"has the tag {event.tag[:80]!r}; plain values only", event.start_mark)


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NO_NUMBER.fullmatch(text):
        raise _fault(f"{text} is no number of a manifest", event.start_mark)
    return text


def _fault(message: str, mark: Any) -> ManifestError:
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
    return ManifestError([Fault("", f"{message} ({where})" if where else message, found=where)])
