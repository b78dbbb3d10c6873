"""Makes ``docs/nodes.md`` from the built-in nodes: ``python tools/node_reference.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from penstock.data import Kind
from penstock.nodes import Catalogue, NodeType
from penstock.nodes.builtin import BUILTIN

PAGE = Path(__file__).parent.parent / "docs" / "nodes.md"
_HEAD = """\
# Built-in nodes

Made from the code by `tools/node_reference.py`; a test keeps it current. Parameters may be
written in camelCase too (`chunkSize`). The executor is the one that the node type declares
(multiprocess, where it declares none); a manifest or `penstock.toml` can choose another.
"""
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "maxLength": "length ≤ {}",
    "minLength": "length ≥ {}",
    "maxProperties": "entries ≤ {}",
}


def page() -> str:
    """The whole page, ending in one newline."""
    catalogue = Catalogue(dict(BUILTIN))
    sections = [_section(catalogue.get(name)) for name in catalogue.names()]
    return "\n".join([_HEAD, *sections]).rstrip() + "\n"


def _section(kind: NodeType) -> str:
    return "\n".join(
        [
            f"## {kind.name}\n",
            inspect.cleandoc(kind.cls.__doc__ or "") + "\n",
            f"Executor: {kind.executor or 'multiprocess'}. Accepts: {_kinds(kind.accepts)}. "
            f"Emits: {_kinds(kind.emits)}.\n",
            *_parameters(kind),
        ]
    )


def _kinds(kinds: Iterable[Kind]) -> str:
    names = sorted(kinds)
    return "everything" if len(names) == len(Kind) else ", ".join(names)


def _parameters(kind: NodeType) -> Iterator[str]:
    properties: dict[str, Any] = kind.cls.Params.model_json_schema(by_alias=False)["properties"]
    if not properties:
        yield "It has no parameters.\n"
        return
    yield "| parameter | default | values | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, schema in properties.items():
        yield f"| `{name}` | {_default(schema)} | {_values(schema)} | {schema['description']} |"
    yield ""


def _default(schema: dict[str, Any]) -> str:
    match schema["default"]:
        case None:
            return "null"
        case dict() as table:
            return "<br>".join(f"`{key}` → `{value}`" for key, value in table.items())
        case str() as text:
            return f"`{text}`"
        case number:
            return f"{number}"


def _values(schema: dict[str, Any]) -> str:
    choices = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    return " or ".join(_choice(choice) for choice in choices)


def _choice(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"{schema['const']}"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return ", ".join([schema["type"], *bounds])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
