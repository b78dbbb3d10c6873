"""The root's names: sorted, there, loaded late, and known to type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from penstock import errors

SOURCE = Path(penstock.__file__)


def typed_names() -> list[str]:
    """What the block for type checkers imports."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    [block] = [part for part in tree.body if isinstance(part, ast.If)]
    imports = [part for part in block.body if isinstance(part, ast.ImportFrom)]
    return [alias.name for part in imports for alias in part.names]


def test_they_are_sorted() -> None:
    dunders, others = [n for n in penstock.__all__ if n[0] == "_"], penstock.__all__
    assert sorted(others) == others
    assert dunders == ["__version__"]


def test_type_checkers_see_the_same_names() -> None:
    assert sorted(typed_names()) == [name for name in penstock.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", penstock.__all__)
def test_each_is_there(name: str) -> None:
    assert getattr(penstock, name) is not None
    assert name in dir(penstock)


def test_every_exception_is_public() -> None:
    public = {
        name
        for name, item in vars(errors).items()
        if isinstance(item, type) and issubclass(item, errors.PenstockError) and name[0] != "_"
    }
    assert public <= set(penstock.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Sesion'"):
        _ = penstock.Sesion


def test_a_name_is_loaded_when_it_is_asked_for() -> None:
    script = (
        "import sys, penstock\n"
        "before = 'penstock.session' in sys.modules\n"
        "penstock.Session\n"
        "print(before, 'penstock.session' in sys.modules, 'grpc' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False True False\n"
