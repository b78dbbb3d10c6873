"""JSON text as plain data, with what ``json`` would let pass refused."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from penstock.errors import Fault, ManifestError


def read_json(text: str) -> Any:
    """The value that ``text`` is.

    Raises ``ManifestError`` for what is no JSON, duplicate keys, NaN and Infinity.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise _fault(f"is not JSON: {exc.msg} at {where}", where) from exc
    except RecursionError as exc:
        raise _fault("is nested too deeply", "more levels than can be read") from exc
    except ValueError as exc:  # an integer with thousands of digits
        raise _fault(f"is not JSON that can be read: {exc}", "a number") from exc


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # remembers the key
        raise _fault(f"key {twice[:80]!r} is written twice in one object", twice[:80])
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _fault(f"{name} is no number of a manifest", name)


def _fault(message: str, found: str) -> ManifestError:
    return ManifestError([Fault("", message, found=found)])
