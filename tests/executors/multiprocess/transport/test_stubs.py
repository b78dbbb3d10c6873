"""The stubs of compiled modules say what those have, and nothing else."""

import ast
import importlib
from pathlib import Path

import pytest

from penstock.executors.multiprocess import transport

FOLDER = Path(transport.__file__).parent
ALIASES = {"Handler"}  # of types, that only a stub needs
STUBS = sorted(path.stem for path in FOLDER.glob("*.pyi"))


def public(names):
    return {name for name in names if not name.startswith("_")}


def stub(name):
    return ast.parse((FOLDER / f"{name}.pyi").read_text())


def declared(body):
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return public(names)


@pytest.mark.parametrize("name", STUBS)
def test_what_a_stub_declares_is_there(name):
    module = importlib.import_module(f"{transport.__name__}.{name}")
    for node in stub(name).body:
        if isinstance(node, ast.ClassDef):
            missing = declared(node.body) - set(dir(getattr(module, node.name)))
            assert not missing, node.name
    assert not declared(stub(name).body) - ALIASES - set(dir(module))


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_leaves_nothing_public_out(name):
    module = importlib.import_module(f"{transport.__name__}.{name}")
    for node in stub(name).body:
        if isinstance(node, ast.ClassDef):
            described = getattr(module, node.name)
            inherited = {name for base in described.__mro__[1:] for name in vars(base)}
            assert not public(vars(described)) - declared(node.body) - inherited, node.name
