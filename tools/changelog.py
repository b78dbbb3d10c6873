"""Makes the unreleased part of ``CHANGELOG.md``: ``python tools/changelog.py``.

From the fragments in ``changelog.d``, which are called ``TOPIC.KIND.md``; see its README.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "CHANGELOG.md"
FRAGMENTS = ROOT / "changelog.d"
KINDS = ("added", "changed", "fixed", "removed")
_UNRELEASED = re.compile(r"(## Unreleased\n).*?(?=\n## |\Z)", re.DOTALL)


def page(written: str) -> str:
    """The changelog with its unreleased part made anew; raises ``ValueError`` for a wrong name."""
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(FRAGMENTS.glob("*.md")):
        if path.name != "README.md":
            by_kind[_kind(path)].append(path.read_text(encoding="utf-8").strip())
    sections = [
        f"### {kind.capitalize()}\n\n" + "\n".join(f"- {_indented(text)}" for text in by_kind[kind])
        for kind in KINDS
        if by_kind[kind]
    ]
    body = "\n\n".join(sections)
    return _UNRELEASED.sub(lambda found: f"{found[1]}\n{body}\n", written)


def _kind(path: Path) -> str:
    parts = path.name.split(".")
    if len(parts) != 3 or parts[1] not in KINDS:
        raise ValueError(f"{path.name}: expected TOPIC.KIND.md with KIND one of {', '.join(KINDS)}")
    return parts[1]


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
