"""Tables for people, and the page that they go to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.machine import Machine
from bench.measurement import Result, Row, Spread, Target, Verdict
from bench.reporter import document, section, table, to_json, to_markdown

MACHINE = Machine("a processor", 2, "6.1", "3.11.7", {"numpy": "2.0"}, 0.5)


def row(
    case: str,
    values: Mapping[str, Spread],
    ratios: Mapping[str, float] | None = None,
    missing: Mapping[str, str] | None = None,
    *verdicts: Verdict,
    message_bytes: int | None = None,
) -> Row:
    return Row(case, values, ratios or {}, missing or {}, verdicts, message_bytes, None)


HOP = row(
    "p → p",
    {"floor": Spread(10, 12.25, (10,)), "penstock": Spread(25, 1234, (25,))},
    {"floor": 2.5},
    {"ray": "not installed"},
    Verdict(Target(2, "floor"), 2.5, reached=False),
    Verdict(Target(1 / 3, "floor"), 2.5, reached=False),
    Verdict(Target(0.5, "ray"), None, None),
)
ALONE = row(
    "alone",
    {"penstock": Spread(3, 3, (3,))},
    None,
    None,
    Verdict(Target(4), 3, reached=True),
    Verdict(Target(0.8, "floor", at_least=True), 0.85, reached=True),
    Verdict(Target(10, "floor", times=4), -2.5, reached=True),
)
MORE = row("more", {"penstock": Spread(5, 5, (5,))})
RESULT = Result("hop", "A hop", "µs", (HOP, ALONE, MORE))


def test_a_table_has_our_values_first_and_says_who_is_missing() -> None:
    assert table(RESULT).splitlines() == [
        "|  | penstock | floor | ray |",
        "| --- | ---: | ---: | ---: |",
        "| p → p | 25 / 1,234 | 10 / 12.2 · 2.50 × | not installed |",
        "| alone | 3 | – | – |",
        "| more | 5 | – | – |",
    ]


def test_many_contenders_go_down() -> None:
    assert table(Result("hop", "A hop", "µs", (HOP, ALONE))).splitlines() == [
        "|  | p → p | alone |",
        "| --- | ---: | ---: |",
        "| penstock | 25 / 1,234 | 3 |",
        "| floor | 10 / 12.2 · 2.50 × | – |",
        "| ray | not installed | – |",
    ]


def test_each_target_is_told_with_what_came_of_it() -> None:
    assert section(RESULT).splitlines()[-6:] == [
        "- p → p: at most 2 × floor: 2.500 ×, **missed**",
        "- p → p: at least 3 × faster than floor: 0.40 ×, **missed**",
        "- p → p: at least 2 × faster than ray: can't be judged (not installed)",
        "- alone: at most 4 µs: 3, reached",
        "- alone: at least 80% of floor: 85%, reached",
        "- alone: at most 10 µs more than 4 × floor: -2.5, reached",
    ]


def test_a_rate_of_messages_is_told_in_bytes_too() -> None:
    one = row("1 MB", {"penstock": Spread(2000, 2000, (2000,))}, message_bytes=1 << 20)
    assert "| 2,000 (2.1 GB/s) |" in table(Result("rate", "Rate", "messages/s", (one,)))


def test_a_reason_does_not_break_the_table() -> None:
    one = row("1 MB", {"penstock": Spread(2, 2, (2,))}, None, {"ray": "a | b\nc"})
    assert r"a \| b c" in table(Result("rate", "Rate", "messages/s", (one,)))


def test_the_json_has_everything() -> None:
    told = json.loads(to_json(MACHINE, "make bench", [RESULT]))
    assert told["command"] == "make bench"
    assert told["machine"]["processor"] == "a processor"
    first = told["figures"][0]["rows"][0]
    assert first["values"]["floor"]["rounds"] == [10]
    assert first["missing"] == {"ray": "not installed"}
    assert first["verdicts"][0]["reached"] is False


def test_only_what_is_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    begin, end = "<!-- measured: written by `make bench ARGS=--document` -->", "<!-- /measured -->"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    document(page, to_markdown(MACHINE, "make bench", [RESULT]))
    written = page.read_text(encoding="utf-8")
    assert written.startswith(f"before\n{begin}\n\n`make bench` on a processor, 2 cores")
    assert written.endswith(f"4 × floor: -2.5, reached\n\n{end}\nafter\n")
    assert "old" not in written


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="expected the lines"):
        document(page, "tables")
    assert page.read_text(encoding="utf-8") == "no marks"
