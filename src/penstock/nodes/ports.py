"""Which kinds of data a node accepts and emits, read from its signatures."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.data import Audio, Binary, Control, Json, Kind, Tensor, Text, Video

ALL_KINDS = frozenset(Kind)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_KIND_OF: dict[Any, Kind] = {
    cls: cls.kind for cls in (Audio, Video, Tensor, Text, Json, Binary, Control)
}
_CONTAINERS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.Sequence,
    collections.abc.Generator,
    collections.abc.AsyncGenerator,
    list,
)


def accepted_kinds(process: Any) -> frozenset[Kind]:
    """The kinds that ``process(self, item)`` takes: those of its item's annotation.

    Raises ``TypeError`` where the annotation names something that is no value, and where
    there is no item, or more than that to be given.
    """
    signature = inspect.signature(process)
    names = list(signature.parameters)
    try:
        signature.bind("self", "item")
    except TypeError:
        hint = "; a Join has several inputs" if len(names) > 2 else ""
        bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
        said = f"expected (self, item), got {inspect.Signature(bare)}{hint}"
        raise TypeError(f"{process.__qualname__}: {said}") from None
    hints = typing.get_type_hints(process)
    return _kinds(hints[names[1]], process) if names[1] in hints else ALL_KINDS


@dataclass(frozen=True, slots=True)
class JoinPorts:
    """What the arguments of a join's ``process`` take; ``others`` are those of ``**name``.

    ``receiver`` is what it calls its node: no input can have that name.
    """

    named: Mapping[str, frozenset[Kind]]
    others: frozenset[Kind] | None
    receiver: str = "self"

    def accepts(self, argument: str) -> frozenset[Kind] | None:
        """The kinds that an argument takes, None where there is none of that name."""
        return None if argument == self.receiver else self.named.get(argument, self.others)

    @property
    def kinds(self) -> frozenset[Kind]:
        """What any of them takes."""
        return frozenset().union(*self.named.values(), self.others or ())


def join_ports(process: Any) -> JoinPorts:
    """The arguments of a join's ``process``, each with the kinds of its annotation.

    Raises ``TypeError`` as ``accepted_kinds`` does, and for an argument that can't be given
    by its name, or may be left out.
    """
    hints = typing.get_type_hints(process)
    named: dict[str, frozenset[Kind]] = {}
    others: frozenset[Kind] | None = None
    parameters = list(inspect.signature(process).parameters.values())
    for argument in parameters[1:]:
        name = argument.name
        kinds = _kinds(hints[name], process) if name in hints else ALL_KINDS
        if argument.kind is argument.VAR_KEYWORD:
            others = kinds
        elif argument.kind in _BY_NAME and argument.default is argument.empty:
            named[name] = kinds
        else:
            raise TypeError(f"{process.__qualname__}: a join can't feed {argument}")
    if not named and others is None:
        raise TypeError(f"{process.__qualname__}: expected an argument for each connection")
    return JoinPorts(named, others, parameters[0].name)


def emitted_kinds(method: Any) -> frozenset[Kind]:
    """The kinds that ``process`` or ``produce`` gives: those of its return annotation."""
    hints = typing.get_type_hints(method)
    return _kinds(hints["return"], method) if "return" in hints else ALL_KINDS


def _kinds(annotation: Any, method: Any) -> frozenset[Kind]:
    if annotation is Any:
        return ALL_KINDS
    if annotation is None or annotation is type(None):
        return frozenset()
    if annotation in _KIND_OF:
        return frozenset({_KIND_OF[annotation]})
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [_kinds(arg, method) for arg in typing.get_args(annotation)]
        return frozenset().union(*parts)
    if origin is tuple:  # of several kinds, or of any number: tuple[Text, ...]
        parts = [_kinds(arg, method) for arg in typing.get_args(annotation) if arg is not ...]
        return frozenset().union(*parts)
    if origin in _CONTAINERS:
        first = typing.get_args(annotation)[0]
        return _kinds(first, method)
    raise TypeError(
        f"{method.__qualname__}: {annotation!r} is no kind of data; "
        f"expected {', '.join(cls.__name__ for cls in _KIND_OF)}, a union or an iterator of them"
    )
