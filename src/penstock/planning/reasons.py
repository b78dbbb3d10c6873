"""Why a node runs where it runs. ``str`` of a reason is stable: programs read it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class MappingSource(StrEnum):
    """Who mapped a node to its executor."""

    MANIFEST = "manifest"
    CONFIGURATION = "configuration"
    DECLARATION = "declaration"


class ExplicitMapping(msgspec.Struct, frozen=True, tag=True):
    """The manifest, the registry or the node type itself names the executor."""

    source: MappingSource

    def __str__(self) -> str:
        return f"explicit mapping ({self.source})"


class PatternMatch(msgspec.Struct, frozen=True, tag=True):
    """A rule of the registry matched the node type."""

    pattern: str

    def __str__(self) -> str:
        return f"pattern match ({self.pattern})"


class Default(msgspec.Struct, frozen=True, tag=True):
    """Nobody said anything: the registry's default."""

    def __str__(self) -> str:
        return "default"


AssignmentReason = ExplicitMapping | PatternMatch | Default
