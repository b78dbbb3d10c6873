"""Faults as text: paths, the closest known name, and what pydantic found. Reads nothing."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from penstock.errors import Fault

Location = tuple[str | int, ...]

_LONGEST_NAME = 128
_LONGEST_FOUND = 80
_SUBJECTS = ("Input", "String", "List", "Tuple", "Dictionary", "Value")  # as pydantic begins


class Closest:
    """Finds the known name most like a wrong one, for a bounded number of wrong ones.

    Comparing costs time in proportion to all known names, so a document full of wrong ones
    gets no more than ``budget`` suggestions.
    """

    def __init__(self, budget: int = 20) -> None:
        self._left = budget

    def __call__(self, name: str, known: Iterable[str]) -> str | None:
        if not self._left or len(name) > _LONGEST_NAME:
            return None
        self._left -= 1
        by_folded = {candidate.casefold(): candidate for candidate in known}
        near = difflib.get_close_matches(name.casefold(), by_folded, n=1)
        return by_folded[near[0]] if near else None


def path_of(location: Iterable[str | int]) -> str:
    """``("nodes", 2, "params", "a b")`` as ``nodes[2].params["a b"]``."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isidentifier():
            path += f".{step}" if path else step
        else:
            path += f"[{shown(step)}]"
    return path


def shown(value: object) -> str:
    """A value as a fault shows it: text quoted, containers by their type, nothing long."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value[: _LONGEST_FOUND + 1] if isinstance(value, str) else value)
    return text if len(text) <= _LONGEST_FOUND + 2 else f"{text[:_LONGEST_FOUND]}…"


def faults_of(
    error: ValidationError,
    model: type[BaseModel],
    at: Location = (),
    closest: Closest | None = None,
) -> Iterator[Fault]:
    """What pydantic found wrong with a document of ``model`` that lies ``at`` a location."""
    closest = closest or Closest()
    for found in error.errors(include_url=False, include_context=True):
        location = tuple(step for step in found["loc"] if step != "[key]")
        path = path_of((*at, *location))
        if found["type"] == "missing":
            yield Fault(path, "is missing", expected="a value")
        elif found["type"] == "extra_forbidden":
            yield _unknown_key(path, location, model, closest)
        else:
            yield _wrong_value(path, found["msg"], found["input"])


def _unknown_key(path: str, location: Location, model: type[BaseModel], closest: Closest) -> Fault:
    owner = _model_at(model, location[:-1])
    known = _keys(owner) if owner else []
    key = str(location[-1])
    return Fault(
        path,
        "unknown key",
        found=shown(key),
        expected=f"one of {', '.join(known)}" if known else "no key",
        suggestion=closest(key, known),
    )


def _wrong_value(path: str, message: str, value: object) -> Fault:
    if message.startswith("Value error, "):
        return Fault(path, message.removeprefix("Value error, "), found=shown(value))
    subject, should, rest = message.partition(" should ")
    found = shown(value)
    expected = rest.partition(", ")[0] if rest.startswith("be a valid ") else rest
    if rest.startswith("be a valid dictionary"):
        expected = "be an object"
    if not should or subject not in _SUBJECTS:
        return Fault(path, f"{message}, got {found}", found=found)
    return Fault(
        path, f"must {expected}, got {found}", found=found, expected=expected.removeprefix("be ")
    )


def _keys(model: type[BaseModel]) -> list[str]:
    return [
        field.alias if field.alias and not model.model_config.get("alias_generator") else name
        for name, field in model.model_fields.items()
    ]


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model of the object at ``location`` inside a document of ``model``.

    Where objects have names of their author's own, any name leads to one.
    """
    here: type[BaseModel] | None = model
    by_name = False
    for step in location:
        if here is None or by_name or isinstance(step, int):
            by_name = False
            continue
        field = next((f for name, f in here.model_fields.items() if step in (name, f.alias)), None)
        here = _first_model(field.annotation) if field else None
        by_name = field is not None and typing.get_origin(field.annotation) is dict
    return here


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_first_model(part) for part in typing.get_args(annotation))
    return next((model for model in found if model), None)
