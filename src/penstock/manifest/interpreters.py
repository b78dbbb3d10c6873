"""Which Python a name means. The only place that looks at files besides the front door."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

OWN = "python"
"""The name that is always in the table: the interpreter that runs Penstock."""


class UnknownInterpreterError(ValueError):
    """A name or a path that is no interpreter; the message says why."""


def named_interpreter(name: str, table: Mapping[str, str]) -> Path:
    """The interpreter that the operator's table has under ``name``.

    Errors don't say where it lies: a client reads them.
    """
    if name in table:
        try:
            return executable(table[name])
        except UnknownInterpreterError as exc:
            raise UnknownInterpreterError(
                f"the operator's interpreter {name!r} is no executable file"
            ) from exc
    if name == OWN:
        return Path(sys.executable)
    known = ", ".join(sorted({OWN, *table}))
    raise UnknownInterpreterError(f"{name!r} is no interpreter's name here; expected {known}")


def trusted_interpreter(text: str, table: Mapping[str, str]) -> Path:
    """The interpreter under a name of the table or of PATH, or at a path."""
    if text in table or text == OWN:
        return named_interpreter(text, table)
    return executable(text)


def executable(text: str) -> Path:
    """The absolute path of an executable file.

    Symbolic links stay as they are: a virtual environment's interpreter is one, and knows
    its environment by where it lies.
    """
    if "\0" in text:
        raise UnknownInterpreterError("a path can't have a null character")
    found = shutil.which(os.path.expanduser(text))
    if found is None:
        raise UnknownInterpreterError(f"{text!r} is no executable file, nor a name on PATH")
    return Path(found).absolute()
