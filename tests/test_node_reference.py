"""``docs/nodes.md`` is what its tool makes of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from penstock.nodes import Catalogue
from penstock.nodes.builtin import BUILTIN

ROOT = Path(__file__).parent.parent


def test_the_node_reference_is_current() -> None:
    spec = importlib.util.spec_from_file_location(
        "node_reference", ROOT / "tools" / "node_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run tools/node_reference.py"


def test_every_parameter_is_described() -> None:
    catalogue = Catalogue(dict(BUILTIN))
    for name in catalogue.names():
        for field, info in catalogue.get(name).cls.Params.model_fields.items():
            assert info.description, f"{name}.{field}"
