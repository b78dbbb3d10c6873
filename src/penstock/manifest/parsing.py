"""A source as a ``Manifest``, or as every structural fault that it has."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from penstock.errors import Fault, ManifestError
from penstock.manifest.faults import Location, faults_of, shown
from penstock.manifest.front_door import Source, read_source
from penstock.manifest.schema import (
    Connection,
    Manifest,
    ManifestMetadata,
    MultiprocessOptions,
    NodeSpec,
    without_effect,
)

Part = TypeVar("Part", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a manifest, each part with its index in the document.

    ``manifest`` is None where a structural fault is left. ``unread`` holds the IDs and types
    of nodes that can't be read; where ``complete`` is false, there may be nodes whose ID isn't
    known.
    """

    manifest: Manifest | None
    metadata: ManifestMetadata
    nodes: tuple[tuple[int, NodeSpec], ...]
    connections: tuple[tuple[int, Connection], ...]
    unread: frozenset[str] = frozenset()
    complete: bool = True
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> Draft:
        """The draft of a manifest without structural faults."""
        nodes = tuple(enumerate(manifest.nodes))
        return cls(manifest, manifest.metadata, nodes, tuple(enumerate(manifest.connections)))

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What was written and has no effect."""
        return without_effect(self.metadata, self.nodes, self.connections)


def parse_manifest(source: Source | Manifest) -> Manifest:
    """The manifest in a JSON or YAML text, a file, a mapping, or a ``Manifest`` as it is.

    A ``str`` is text where it has a newline or starts with ``{``, otherwise a path. Raises
    ``ManifestError``, and nothing else, with every structural fault. Whether the nodes exist
    and fit together is for ``penstock.planning``.
    """
    if isinstance(source, Manifest):
        return source
    draft = read_draft(source)
    if draft.manifest is None:
        raise ManifestError(draft.faults)
    return draft.manifest


def read_draft(source: Source | Manifest) -> Draft:
    """As much of a manifest as can be read, with its structural faults.

    Raises ``ManifestError`` where nothing can be read at all.
    """
    if isinstance(source, Manifest):
        return Draft.of(source)
    data = read_source(source)
    if not isinstance(data, dict):
        found = shown(data)
        raise ManifestError([Fault("", f"must be an object, got {found}", found, "an object")])
    try:
        return Draft.of(Manifest.model_validate(data))
    except ValidationError as exc:
        return _salvaged(data, exc)


def _salvaged(data: dict[str, Any], error: ValidationError) -> Draft:
    """The parts of a faulty document that can be read without what is wrong in them."""
    wrong = {found["loc"] for found in error.errors(include_url=False, include_input=False)}
    written = _items(data, "nodes")
    nodes = _readable(written, "nodes", NodeSpec, wrong)
    unread = [node for index, node in enumerate(written) if index not in nodes]
    ids = [_named(node, "id") for node in unread]
    names = {*ids, *(_named(node, "node_type") for node in unread)}
    connections = _readable(_items(data, "connections"), "connections", Connection, wrong)
    return Draft(
        manifest=None,
        metadata=_metadata(data.get("metadata"), faulty=any("metadata" in at for at in wrong)),
        nodes=tuple(nodes.items()),
        connections=tuple(connections.items()),
        unread=frozenset(name for name in names if name is not None),
        complete=isinstance(data.get("nodes"), list) and all(isinstance(name, str) for name in ids),
        faults=tuple(faults_of(error, Manifest)),
    )


def _readable(
    items: list[Any], key: str, model: type[Part], wrong: set[tuple[str | int, ...]]
) -> dict[int, Part]:
    """The items by their index, each without the keys that are wrong in it."""
    found = {}
    for index, item in enumerate(items):
        keys = {at[2] for at in wrong if at[:2] == (key, index) and len(at) > 2}
        kept = {k: v for k, v in item.items() if k not in keys} if keys else item
        with contextlib.suppress(ValidationError):
            found[index] = model.model_validate(kept)
    return found


def _named(node: Any, key: str) -> str | None:
    name = node.get(key) if isinstance(node, Mapping) else None
    return name if isinstance(name, str) else None


def _items(data: dict[str, Any], key: str) -> list[Any]:
    found = data.get(key)
    return found if isinstance(found, list) else []


def _metadata(written: Any, *, faulty: bool) -> ManifestMetadata:
    """The metadata, without what is wrong in ``multiprocess``."""
    if not faulty:
        return ManifestMetadata.model_validate(written or {})
    options = written.get("multiprocess") if isinstance(written, dict) else None
    try:
        multiprocess = MultiprocessOptions.model_validate(options)
    except ValidationError as exc:
        if not isinstance(options, dict):
            return ManifestMetadata()
        wrong = {found["loc"] for found in exc.errors(include_url=False)}
        multiprocess = MultiprocessOptions.model_validate(_without(wrong, options))
    return ManifestMetadata(multiprocess=multiprocess)


def _without(wrong: set[Location], table: dict[str, Any]) -> dict[str, Any]:
    """A table without what is wrong in it; what is right in a table of its own is kept."""
    kept = {}
    for key, value in table.items():
        within = {at[1:] for at in wrong if at[0] == key}
        if not within:
            kept[key] = value
        elif isinstance(value, dict) and () not in within:
            kept[key] = _without(within, value)
    return kept
