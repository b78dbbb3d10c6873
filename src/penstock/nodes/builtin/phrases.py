"""Phrases with slots: ``turn {state} the {thing}`` against what somebody said.

Pure. Matching takes time linear in both, whatever the text: there is no backtracking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SLOT = re.compile(r"\{([^}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WORD = re.compile(r"[\w'-]+|\{[^}]*\}")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return [word.lower() for word in re.findall(r"[\w'-]+", text)]


def slots(template: str) -> list[str]:
    """The names in braces, in order."""
    return _SLOT.findall(template)


def fill(template: str, values: dict[str, str]) -> str:
    """The template with its slots replaced; braces in the values mean nothing."""
    return _SLOT.sub(lambda match: values[match[1]], template)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A pattern: ``runs`` of fixed words with a slot between each two.

    A run at either end may be empty, which is how a phrase begins or ends with a slot.
    """

    runs: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, pattern: str) -> Phrase:
        """Raises ``ValueError`` for no words, bad slot names, slots side by side or twice."""
        runs: list[list[str]] = [[]]
        names: list[str] = []
        for token in _WORD.findall(pattern):
            if not token.startswith("{"):
                runs[-1].append(token.lower())
                continue
            names.append(token[1:-1])
            runs.append([])
        bad = [name for name in names if not _NAME.fullmatch(name)]
        if bad:
            raise _rejected(pattern, f"{{{bad[0]}}} is no slot name")
        if not any(runs):
            raise _rejected(pattern, "it has no fixed word")
        if not all(runs[1:-1]):
            raise _rejected(pattern, "two slots need a word between them")
        if len(set(names)) != len(names):
            raise _rejected(pattern, "a slot is named twice")
        return cls(tuple(map(tuple, runs)), tuple(names))

    def match(self, said: list[str]) -> dict[str, str] | None:
        """What stands in each slot, at least a word; None where the phrase isn't this one."""
        first, last = self.runs[0], self.runs[-1]
        if not self.names:
            return {} if tuple(said) == first else None
        end = len(said) - len(last)
        position = len(first)
        if tuple(said[:position]) != first or end < position or tuple(said[end:]) != last:
            return None
        found: list[str] = []
        for run in self.runs[1:-1]:
            at = _find(run, said, position + 1, end)
            if at is None:
                return None
            found.append(" ".join(said[position:at]))
            position = at + len(run)
        if position >= end:
            return None
        found.append(" ".join(said[position:end]))
        return dict(zip(self.names, found, strict=True))


def _find(run: tuple[str, ...], said: list[str], start: int, end: int) -> int | None:
    """The first place of ``run`` in ``said[start:end]``: the leftmost leaves most to the rest."""
    for at in range(start, end - len(run) + 1):
        if tuple(said[at : at + len(run)]) == run:
            return at
    return None


def _rejected(pattern: str, reason: str) -> ValueError:
    return ValueError(f"{pattern!r}: {reason}; expected words and {{slots}}")
