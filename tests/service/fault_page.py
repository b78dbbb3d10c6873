"""Reads the tables of ``docs/faults.md``, which are what the service is compared with."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
NOTHING = "nothing, until it cancels"
GONE = "nothing: it is gone"
COUNTS = {"all outputs": 3, "1000 times as many": 3000}
_ERROR = re.compile(r"`([A-Z_]+)`(?:, (n\d))?: `(.+)`")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw: an error with its type, node and text, or the outputs of a whole run."""

    outputs: int = 0
    error_type: str = ""
    node_id: str = ""
    text: str = ""
    cancelled: bool = False

    def is_as(self, told: str) -> bool:
        """Whether that is what a cell of the table tells."""
        if told == NOTHING:
            return self.cancelled and not self.error_type
        if told in COUNTS:
            return not (self.error_type or self.cancelled) and self.outputs == COUNTS[told]
        error_type, node_id, text = _error(told)
        named = f"node {node_id!r}: {text}*" if node_id else f"{text}*"
        return (
            self.error_type == error_type
            and self.node_id == node_id
            and fnmatch.fnmatchcase(self.text, named)
        )


def rows(table: str) -> Iterator[tuple[str, str, str]]:
    """The first three cells of each row; of a table that is marked with its name."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {table} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found is not None, f"{PAGE}: no table {table}"
    lines = [line for line in found[1].splitlines() if line.startswith("| ")]
    for line in lines[2:]:
        first, second, third, _ = (cell.strip() for cell in line.strip("|").split(" | "))
        yield first, second, third


def _error(told: str) -> tuple[str, str, str]:
    found = _ERROR.fullmatch(told)
    assert found is not None, f"{PAGE}: can't read {told!r}"
    return found[1], found[2] or "", found[3]
