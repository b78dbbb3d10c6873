"""Makes the table of metrics in ``docs/operations.md``: ``python tools/metrics_table.py``.

It replaces what lies between ``<!-- metrics: … -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from pathlib import Path

from penstock.telemetry.families import FAMILIES, Family

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
_MARKED = re.compile(
    r"(<!-- metrics: made by tools/metrics_table.py -->\n).*?(<!-- end -->)", re.DOTALL
)


def page(written: str) -> str:
    """The page with its marked part made anew."""
    rows = ["| name | kind | labels | what it is |", "| --- | --- | --- | --- |"]
    table = "\n".join([*rows, *map(_row, FAMILIES)])
    return _MARKED.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", written)


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.help} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
