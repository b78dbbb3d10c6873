"""Whether a node's process is importing the module that defines its node.

What that module does besides, a script's main part above all, must not be done again there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_importing = False


@contextlib.contextmanager
def importing_nodes() -> Iterator[None]:
    """Marks the import of somebody's nodes in a process of their own."""
    global _importing  # noqa: PLW0603  # it is the process that imports, not an object
    _importing = True
    try:
        yield
    finally:
        _importing = False


def nodes_are_being_imported() -> bool:
    return _importing
