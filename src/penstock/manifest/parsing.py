"""A source as a ``Manifest``, or as every structural fault that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from penstock.errors import Fault, ManifestError
from penstock.manifest.faults import faults_of, shown
from penstock.manifest.front_door import Source, read_source
from penstock.manifest.schema import (
    Connection,
    Manifest,
    ManifestMetadata,
    MultiprocessOptions,
    NodeSpec,
    older_keys,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a manifest, each part with its index in the document.

    ``manifest`` is None where a structural fault is left. ``unread`` holds the IDs and types
    of nodes that have one; where ``complete`` is false, there may be nodes whose ID isn't known.
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
        return older_keys(self.nodes)


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
    """The parts of a faulty document in which nothing is wrong."""
    wrong = {found["loc"][:2] for found in error.errors(include_url=False, include_input=False)}
    nodes = _items(data, "nodes")
    unread = [node for index, node in enumerate(nodes) if ("nodes", index) in wrong]
    ids = [_named(node, "id") for node in unread]
    names = {*ids, *(_named(node, "node_type") for node in unread)}
    return Draft(
        manifest=None,
        metadata=_metadata(data.get("metadata"), faulty=any("metadata" in at for at in wrong)),
        nodes=tuple(
            (index, NodeSpec.model_validate(node)) for index, node in _right(nodes, "nodes", wrong)
        ),
        connections=tuple(
            (index, Connection.model_validate(connection))
            for index, connection in _right(_items(data, "connections"), "connections", wrong)
        ),
        unread=frozenset(name for name in names if name is not None),
        complete=isinstance(data.get("nodes"), list) and all(isinstance(name, str) for name in ids),
        faults=tuple(faults_of(error, Manifest)),
    )


def _named(node: Any, key: str) -> str | None:
    name = node.get(key) if isinstance(node, Mapping) else None
    return name if isinstance(name, str) else None


def _items(data: dict[str, Any], key: str) -> list[Any]:
    found = data.get(key)
    return found if isinstance(found, list) else []


def _right(
    items: list[Any], key: str, wrong: set[tuple[str | int, ...]]
) -> Iterator[tuple[int, Any]]:
    return ((index, item) for index, item in enumerate(items) if (key, index) not in wrong)


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
        wrong = {found["loc"][0] for found in exc.errors(include_url=False) if found["loc"]}
        multiprocess = MultiprocessOptions.model_validate(
            {key: value for key, value in options.items() if key not in wrong}
        )
    return ManifestMetadata(multiprocess=multiprocess)
