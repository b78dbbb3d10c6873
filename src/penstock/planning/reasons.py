"""Why a node runs where it runs. ``str`` of a reason is stable: programs read it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MappingSource(StrEnum):
    """Who mapped a node to its executor."""

    MANIFEST = "manifest"
    CONFIGURATION = "configuration"
    DECLARATION = "declaration"


@dataclass(frozen=True, slots=True)
class ExplicitMapping:
    """The manifest, the registry or the node type itself names the executor."""

    source: MappingSource

    def __str__(self) -> str:
        return f"explicit mapping ({self.source})"


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """A rule of the registry matched the node type."""

    pattern: str

    def __str__(self) -> str:
        return f"pattern match ({self.pattern})"


@dataclass(frozen=True, slots=True)
class Default:
    """Nobody said anything: the registry's default."""

    def __str__(self) -> str:
        return "default"


AssignmentReason = ExplicitMapping | PatternMatch | Default
