"""Imports modules and files that somebody else wrote, and says where one of them raised."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

_PREFIX = "penstock_nodes_"
_MACHINERY = ("<frozen importlib", str(Path(importlib.__file__).parent), __file__)


def module_at(where: str) -> ModuleType:
    """The module of that name, or the one that a ``.py`` file is; whatever it raises passes."""
    return _file_module(Path(where)) if where.endswith(".py") else importlib.import_module(where)


def is_file_module(name: str) -> bool:
    """Whether a module of that name was made of a file, and is found by its path only."""
    return name.startswith(_PREFIX)


def raised(error: Exception) -> str:
    """What a module raised, and the innermost line of its own file that led there."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]  # the first is our caller
        if not frame.filename.startswith(_MACHINERY)
    ]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    at = f", {own[-1].filename}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {error}{at}"


def _file_module(path: Path) -> ModuleType:
    """A file as a module whose name depends on its path only, imported once a process.

    Its folder comes last on ``sys.path``, so that it may import its siblings.
    """
    path = path.resolve()
    main = sys.modules.get("__main__")
    if main is not None and Path(getattr(main, "__file__", None) or "").resolve() == path:
        return main
    name = f"{_PREFIX}{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
