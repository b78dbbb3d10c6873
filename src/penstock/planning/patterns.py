"""Pattern rules. The only place that knows RE2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import re2

from penstock.data import ExecutorType
from penstock.errors import ConfigurationError, Fault

_LARGEST_PRIORITY = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class PatternRule:
    """Sends node types in which ``pattern`` is found to an executor.

    ``pattern`` is RE2, searched anywhere in the type's name, in time linear in it; rules with
    a higher ``priority`` (an unsigned 32-bit number) are asked first. Raises
    ``ConfigurationError`` for a pattern that doesn't compile.
    """

    pattern: str
    executor_type: ExecutorType
    priority: int
    _compiled: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.priority <= _LARGEST_PRIORITY:
            message = f"must be from 0 to {_LARGEST_PRIORITY}, got {self.priority}"
            raise ConfigurationError([Fault("priority", message, found=str(self.priority))])
        object.__setattr__(self, "_compiled", _compile(self.pattern))

    @classmethod
    def suffix(cls, suffix: str, executor_type: ExecutorType, priority: int) -> PatternRule:
        """The rule for node types whose names end in ``suffix``."""
        try:
            return cls(rf"{re2.escape(suffix)}\z", executor_type, priority)
        except UnicodeEncodeError as exc:
            raise _fault(suffix, "is not Unicode") from exc

    def matches(self, node_type: str) -> bool:
        """Whether the rule is for this node type."""
        return self._compiled.search(node_type) is not None


def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # it would write to stderr; the error says it
    try:
        return re2.compile(pattern, options=options)
    except UnicodeEncodeError as exc:
        raise _fault(pattern, "is not Unicode") from exc
    except re2.error as exc:
        reason = exc.args[0] if exc.args else exc
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise _fault(pattern, text) from exc


def _fault(pattern: str, reason: str) -> ConfigurationError:
    shown = repr(pattern[:200])
    return ConfigurationError(
        [Fault("pattern", f"{shown} is no valid pattern: {reason}", shown, "an RE2 expression")]
    )
