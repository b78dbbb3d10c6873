"""Makes ``docs/api.md`` from the root's public names: ``python tools/api_reference.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import penstock
from penstock import client, testing

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
_ALIASES = {
    "Sendable": "A value, or a `str`, bytes or an array for a `Text`, a `Binary` or a `Tensor`.",
    "Value": "Any of the seven kinds of value.",
}
"""Types that have no docstring of their own."""
_HEAD = """\
# Public names

Made from the code by `tools/api_reference.py`; a test keeps it current. What is not named here
may change without notice. `help(penstock.Session)` shows the whole text of each.
"""


def page() -> str:
    """The whole page, ending in one newline."""
    sections = [
        _section("penstock", penstock),
        _section("penstock.client", client),
        _section("penstock.testing", testing),
    ]
    return "\n".join([_HEAD, *sections]).rstrip() + "\n"


def _section(name: str, module: Any) -> str:
    lines = [f"## `{name}`\n", "| name | what it is |", "| --- | --- |"]
    return "\n".join([*lines, *_rows(module), ""])


def _rows(module: Any) -> Iterator[str]:
    for name in module.__all__:
        if not name.startswith("__"):
            yield f"| `{name}` | {_summary(name, getattr(module, name))} |"


def _summary(name: str, item: Any) -> str:
    """The first sentence of its docstring."""
    if not (inspect.isclass(item) or inspect.isfunction(item)):
        return _ALIASES[name]
    paragraph = inspect.cleandoc(item.__doc__ or "").partition("\n\n")[0]
    return " ".join(paragraph.replace("``", "`").split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
