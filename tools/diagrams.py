"""Draws the state diagrams of ``docs/architecture.md`` from the tables in the code.

``python tools/diagrams.py`` replaces what lies between ``<!-- NAME: … -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from penstock.bridges import LANE_TABLE, LaneState, strategy_for
from penstock.data import ExecutorType
from penstock.machine import Table
from penstock.session import SESSION_TABLE, SessionStatus

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
_MARKED = re.compile(
    r"(<!-- ([\w-]+): made by tools/diagrams.py -->\n).*?(<!-- end -->)", re.DOTALL
)


def page(written: str) -> str:
    """The page with every marked part made anew; raises ``KeyError`` for an unknown mark."""
    parts = {
        "session-states": state_diagram(SESSION_TABLE, SessionStatus.INITIALIZING),
        "lane-states": state_diagram(LANE_TABLE, LaneState.IDLE),
        "strategies": strategies(),
    }
    return _MARKED.sub(lambda found: f"{found[1]}\n{parts[found[2]]}\n\n{found[3]}", written)


def state_diagram(table: Table[Any, Any], initial: Any) -> str:
    """A Mermaid diagram; states without a way out are final."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {initial}"]
    for state, steps in table.items():
        lines += [f"    {state} --> {following}: {event}" for event, following in steps.items()]
        if not steps:
            lines.append(f"    {state} --> [*]")
    return "\n".join([*lines, "```"])


def strategies() -> str:
    """Which conversion strategy each pair of executors has."""
    kinds = list(ExecutorType)
    rows = [f"| from \\ to | {' | '.join(kinds)} |", f"| --- |{' --- |' * len(kinds)}"]
    rows += [
        f"| {source} | {' | '.join(strategy_for(source, target) for target in kinds)} |"
        for source in kinds
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
