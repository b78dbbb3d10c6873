"""What the operator wrote that fits nothing here: it may be meant for elsewhere, so it is told."""

from __future__ import annotations

import logging

from penstock.manifest import Settings, Tokens
from penstock.manifest.faults import Closest
from penstock.nodes import Catalogue
from penstock.wire.methods import PATHS

METHODS = tuple(sorted({path.rpartition("/")[2] for path in PATHS} | {"ServerReflectionInfo"}))
"""The names that the rights of a token may have."""
_log = logging.getLogger(__name__)


def say_which_types_are_none(settings: Settings, catalogue: Catalogue) -> None:
    """Warn of mappings of node types that this service hasn't."""
    closest = Closest()
    for name in settings.executors.mappings:
        if name not in catalogue:
            hint = _hint(closest(name, catalogue.names()))
            _log.warning("executors.mappings: no node type is called %r here%s", name, hint)


def say_which_methods_are_none(tokens: Tokens) -> None:
    """Warn of patterns of methods that let nobody call anything."""
    closest = Closest()
    for name, pattern in tokens.fitting_none(METHODS):
        hint = _hint(closest(pattern, METHODS))
        _log.warning("tokens.%s.methods: no method is called %r%s", name, pattern, hint)


def _hint(suggestion: str | None) -> str:
    return "" if suggestion is None else f" (did you mean {suggestion!r}?)"
