"""The node types that are there: built in, from installed packages, and the user's own.

Classes are imported when they are looked up, not when the catalogue is made.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock.data import ExecutorType, Kind
from penstock.errors import ConfigurationError, Fault
from penstock.nodes.base import Node
from penstock.nodes.builtin import BUILTIN
from penstock.nodes.join import Join, JoinParams
from penstock.nodes.modules import is_file_module, module_at, raised
from penstock.nodes.ports import JoinPorts, accepted_kinds, emitted_kinds, join_ports

ENTRY_POINTS = "penstock.nodes"


@dataclass(frozen=True, slots=True)
class NodeType:
    """A node type: its class, where another process finds it, and its ports.

    ``executor`` is what the type itself declares, None where it declares nothing.
    ``provider`` is ``module:Class`` or ``/path/file.py:Class``. ``is_source`` says that it
    has ``produce`` and takes no inputs. ``joins`` are the arguments of a ``Join``, None for
    other nodes.
    """

    name: str
    cls: type[Node]
    executor: ExecutorType | None
    provider: str
    accepts: frozenset[Kind]
    emits: frozenset[Kind]
    is_source: bool
    joins: JoinPorts | None = None


class Catalogue:
    """Finds node types by name; ``extended`` makes a larger one, nothing changes one."""

    def __init__(self, providers: dict[str, str]) -> None:
        self._providers = providers
        self._types: dict[str, NodeType] = {}

    @classmethod
    def installed(cls) -> Catalogue:
        """The built-in node types and those of installed packages, as found at first use."""
        return _installed()

    def extended(self, *sources: type[Node] | ModuleType | str | Path) -> Catalogue:
        """This catalogue and the node types of classes, modules, module names or files.

        Raises ``ConfigurationError`` for a source that can't be loaded, holds no node type,
        or names one that another source has.
        """
        providers = dict(self._providers)
        for source in sources:
            for name, provider in _provided(source).items():
                if providers.get(name, provider) != provider:
                    there = f"node type {name!r} is there already ({providers[name]})"
                    raise _fault(f"{there}; {provider} has another one")
                providers[name] = provider
        return Catalogue(providers)

    def names(self) -> list[str]:
        return sorted(self._providers)

    def __contains__(self, name: str) -> bool:
        return name in self._providers

    def get(self, name: str) -> NodeType:
        """The node type called ``name``; ``KeyError`` where there is none.

        Raises ``ConfigurationError`` where its provider can't be loaded.
        """
        known = self._types.get(name)
        if known is None:
            known = self._types[name] = describe(load(self._providers[name]))
        return known


@functools.cache
def _installed() -> Catalogue:
    found = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return Catalogue({**{entry.name: entry.value for entry in found}, **BUILTIN})


def describe(cls: type[Node], provider: str | None = None) -> NodeType:
    """The node type that a class marked with ``@node`` is."""
    mark = vars(cls).get("__penstock_node__")
    if mark is None:
        raise _fault(f"{cls.__qualname__} is not marked with @node(...)", repr(cls))
    name, executor = mark
    process = getattr(cls, "process", None)
    produce = getattr(cls, "produce", None)
    if (process is None) == (produce is None):
        raise _fault(f"node type {name!r} ({cls.__qualname__}) needs either process or produce")
    try:
        joins = _joined(cls, process)
        accepts = _accepted(process) if joins is None else joins.kinds
        emits = emitted_kinds(process if produce is None else produce)
        emits |= _flushed(cls)
    except (TypeError, NameError) as exc:
        raise _fault(f"node type {name!r} ({cls.__qualname__}): {exc}") from exc
    return NodeType(
        name, cls, executor, provider or provider_of(cls), accepts, emits, process is None, joins
    )


def _joined(cls: type[Node], process: Any) -> JoinPorts | None:
    if not issubclass(cls, Join):
        return None
    if process is None or not issubclass(cls.Params, JoinParams):
        raise TypeError("a Join needs process, and Params that extend JoinParams")
    return join_ports(process)


def _accepted(process: Any) -> frozenset[Kind]:
    return frozenset[Kind]() if process is None else accepted_kinds(process)


def _flushed(cls: type[Node]) -> frozenset[Kind]:
    """What ``flush`` gives beyond ``process``, where it says so."""
    if cls.flush is Node.flush or "return" not in inspect.get_annotations(cls.flush):
        return frozenset()
    return emitted_kinds(cls.flush)


def provider_of(cls: type[Node]) -> str:
    """Where another process finds the class.

    A class of the main script is found by the script's path, so that the script must guard
    what it does with ``if __name__ == "__main__"``. Raises ``ConfigurationError`` where
    another process can't find it.
    """
    if "<locals>" in cls.__qualname__:
        raise _fault(f"{cls.__qualname__}: define it at the top level of a module")
    path = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if cls.__module__ == "__main__" or is_file_module(cls.__module__):
        if path is None or not Path(path).exists():  # typed in, or piped into the interpreter
            raise _fault(f"{cls.__qualname__}: define it in a file or a module")
        return f"{Path(path).resolve()}:{cls.__qualname__}"
    return f"{cls.__module__}:{cls.__qualname__}"


@functools.cache
def load(provider: str) -> type[Node]:
    """The class that a provider names; raises ``ConfigurationError`` where it can't."""
    where, _, name = provider.rpartition(":")
    found: Any = _module(where)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Node)):
        raise _fault(f"{provider}: no Node class of that name ({found!r})", repr(found))
    return found


def _provided(source: type[Node] | ModuleType | str | Path) -> dict[str, str]:
    if isinstance(source, type):
        kind = describe(source)
        return {kind.name: kind.provider}
    module = source if isinstance(source, ModuleType) else _module(str(source))
    shown = source.__name__ if isinstance(source, ModuleType) else source
    try:
        types = {kind.name: kind.provider for kind in (describe(cls) for cls in _marked(module))}
    except ConfigurationError as exc:
        raise _fault(f"{shown}: {exc}") from exc
    if not types:
        raise _fault(f"{shown}: no class marked with @node(...)")
    return types


def _marked(module: ModuleType) -> Iterable[type[Node]]:
    for item in vars(module).values():
        own = isinstance(item, type) and item.__module__ == module.__name__
        if own and "__penstock_node__" in vars(item):
            yield item


def _module(where: str) -> ModuleType:
    try:
        return module_at(where)
    except Exception as exc:  # whatever the user's module raises while it is imported
        raise _fault(f"{where}: can't be loaded ({raised(exc)})", raised(exc)) from exc


def _fault(message: str, found: str | None = None) -> ConfigurationError:
    return ConfigurationError([Fault(path="", message=message, found=found)])
