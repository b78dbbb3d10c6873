"""Tables for people, and the page that they go to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.machine import Machine
from bench.measurement import Result, Row, Spread, Target
from bench.reporter import document, table, to_json, to_markdown

MACHINE = Machine("a processor", 2, "6.1", "3.11.7", {"numpy": "2.0"}, 0.5)
ROWS = (
    Row(
        "p → p",
        {"floor": Spread(10, 12.25, (10,)), "penstock": Spread(25, 1234, (25,))},
        "floor",
        2.5,
        Target(2),
        reached=False,
        message_bytes=None,
    ),
    Row("alone", {"penstock": Spread(3, 3, (3,))}, None, None, Target(4, "value"), True, None),
)
RESULT = Result("hop", "A hop", "µs", ROWS)


def test_a_table_has_our_values_first_and_a_verdict_last() -> None:
    assert table(RESULT).splitlines() == [
        "### A hop, µs",
        "",
        "|  | penstock | floor | ratio | target |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| p → p | 25 / 1,234 | 10 / 12.2 | 2.50 × floor | ≤ 2 ×: **missed** |",
        "| alone | 3 | – |  | ≤ 4: reached |",
    ]


def test_a_rate_of_messages_is_told_in_bytes_too() -> None:
    row = Row("1 MB", {"penstock": Spread(2000, 2000, (2000,))}, None, None, None, None, 1 << 20)
    assert "| 2,000 (2.1 GB/s) |" in table(Result("rate", "Rate", "messages/s", (row,)))


def test_the_json_has_everything() -> None:
    told = json.loads(to_json(MACHINE, "make bench", [RESULT]))
    assert told["command"] == "make bench"
    assert told["machine"]["processor"] == "a processor"
    assert told["figures"][0]["rows"][0]["values"]["floor"]["rounds"] == [10]
    assert told["figures"][0]["rows"][0]["reached"] is False


def test_only_what_is_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    begin, end = "<!-- measured: written by `make bench ARGS=--document` -->", "<!-- /measured -->"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    document(page, to_markdown(MACHINE, "make bench", [RESULT]))
    written = page.read_text(encoding="utf-8")
    assert written.startswith(f"before\n{begin}\n\n`make bench` on a processor, 2 cores")
    assert written.endswith(f"| alone | 3 | – |  | ≤ 4: reached |\n\n{end}\nafter\n")
    assert "old" not in written


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="expected the lines"):
        document(page, "tables")
    assert page.read_text(encoding="utf-8") == "no marks"
