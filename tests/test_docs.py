"""The documentation is what its tools make of the code, and its examples work."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from penstock.bridges import LANE_TABLE
from penstock.cli.main import COMMANDS
from penstock.data import Audio, Json, Text
from penstock.manifest import Limits, MultiprocessOptions, Settings, load_settings
from penstock.nodes import Catalogue
from penstock.planning import check_manifest
from penstock.session import SESSION_TABLE
from penstock.session.hosting import prewarm_orders
from penstock.testing import run_node

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_OPEN = ("interpreters", "executors.mappings", "service.prewarm.params")
"""Tables of ``penstock.toml`` whose keys are the operator's own."""


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def block(name: str, language: str) -> str:
    [found] = blocks(name, language)
    return found


def test_the_public_names_are_current() -> None:
    assert text("api.md") == tool("api_reference").page(), "run tools/api_reference.py"


def test_every_public_name_says_what_it_is() -> None:
    assert "|  |" not in text("api.md")


@pytest.mark.parametrize("name", ["diagrams", "metrics_table", "changelog"])
def test_what_is_made_in_place_is_current(name: str) -> None:
    maker = tool(name)
    written = maker.PAGE.read_text(encoding="utf-8")
    assert written == maker.page(written), f"run tools/{name}.py"


@pytest.mark.parametrize("table", [SESSION_TABLE, LANE_TABLE])
def test_every_step_is_in_a_diagram(table: Any) -> None:
    drawn = text("architecture.md")
    for state, steps in table.items():
        for event, following in steps.items():
            assert f"    {state} --> {following}: {event}\n" in drawn


def test_a_changed_table_would_be_noticed() -> None:
    maker = tool("diagrams")
    written = maker.PAGE.read_text(encoding="utf-8")
    assert maker.page(written.replace("Ready --> Executing", "Ready --> Error")) == written
    with pytest.raises(KeyError):
        maker.page("<!-- unknown: made by tools/diagrams.py -->\n<!-- end -->")


def test_a_fragment_s_name_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = tool("changelog")
    monkeypatch.setattr(maker, "FRAGMENTS", tmp_path)
    (tmp_path / "speed.fixed.md").write_text("Faster.\nMuch.\n")
    (tmp_path / "lanes.added.md").write_text("Lanes.\n")
    made = maker.page("# Changes\n\n## Unreleased\n\nold\n\n## 0.1\n\n- first\n")
    assert made == (
        "# Changes\n\n## Unreleased\n\n### Added\n\n- Lanes.\n\n### Fixed\n\n- Faster.\n  Much.\n"
        "\n## 0.1\n\n- first\n"
    )
    (tmp_path / "speed.faster.md").write_text("Wrong kind.")
    with pytest.raises(ValueError, match=r"speed\.faster\.md: expected TOPIC\.KIND\.md"):
        maker.page(made)


def test_the_guide_s_manifest_is_valid() -> None:
    document, _ = (json.loads(found) for found in blocks("guide.md", "json"))
    report = check_manifest(document, Catalogue.installed(), Settings())
    assert (report.faults, report.warnings) == ((), ())


async def test_the_guide_s_node_works(tmp_path: Path) -> None:
    [program] = [found for found in blocks("guide.md", "python") if '@node("Words"' in found]
    path = tmp_path / "words.py"
    path.write_text(program)
    kind = Catalogue({}).extended(path).get("Words")
    outputs = await run_node(kind.cls, [Text("to be or not")], {"minimum": 3})
    assert outputs == [Text("not")]


async def test_the_guide_s_join_works(tmp_path: Path) -> None:
    [program] = [found for found in blocks("guide.md", "python") if '@node("Caption"' in found]
    _, shown = (json.loads(found) for found in blocks("guide.md", "json"))
    path = tmp_path / "caption.py"
    path.write_text(program)
    kind = Catalogue({}).extended(path).get(shown["node_type"])
    inputs = {"sound": Audio(np.zeros(3, np.int16), 16_000), "words": Text("hm")}
    outputs = await run_node(kind.cls, [inputs], shown["params"])
    assert outputs == [Json({"words": "hm", "samples": 3})]


def test_the_guide_s_program_works(tmp_path: Path) -> None:
    [program] = [found for found in blocks("guide.md", "python") if "Session(" in found]
    path = tmp_path / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    replies = [line for line in done.stdout.splitlines() if not line.startswith("NodeProgress")]
    assert replies == ["1 Hello, ada!", "2 Hello, grace!", "3 Hello, barbara!"]


def test_the_guide_has_every_command() -> None:
    named = re.findall(r"^\| `penstock (\w+)[ `]", text("guide.md"), re.MULTILINE)
    assert sorted(named) == sorted(COMMANDS)


def test_the_guide_has_every_option() -> None:
    table = text("guide.md")
    assert not [name for name in MultiprocessOptions.model_fields if f"| `{name}` |" not in table]


@pytest.fixture
def shown_configuration(tmp_path: Path) -> Path:
    """What the page shows, with files where it names some."""
    shown = block("operations.md", "toml")
    for name in set(re.findall(r"/etc/penstock/([\w.]+)", shown)):
        (tmp_path / name).touch()
    path = tmp_path / "penstock.toml"
    path.write_text(shown.replace("/etc/penstock", str(tmp_path)))
    return path


def test_the_configuration_shown_is_valid_and_complete(shown_configuration: Path) -> None:
    load_settings(shown_configuration)
    assert _keys(Settings) == _shown(tomllib.loads(shown_configuration.read_text()))


def test_what_is_shown_as_a_default_is_one(shown_configuration: Path) -> None:
    shown, default = load_settings(shown_configuration), Settings()
    examples: Any = {
        "prewarm": True,
        "tls": True,
        "tokens": True,
        "connections": {"max_idle_secs", "max_age_secs", "max_sessions_per_peer"},
    }
    assert shown.service.model_dump(exclude=examples) == default.service.model_dump(
        exclude=examples
    )
    assert shown.executors.default == default.executors.default
    fixed = {
        name: field.default
        for name, field in Limits.model_fields.items()
        if field.default is not None and field.default_factory is None  # the others are examples
    }
    assert shown.limits.model_dump(include=set(fixed)) == fixed


def test_what_is_prewarmed_as_an_example_can_be(shown_configuration: Path) -> None:
    [order] = prewarm_orders(load_settings(shown_configuration), Catalogue.installed())
    assert (order.node.node_type, order.count) == ("PocketSphinxNode", 2)


def _keys(model: type[BaseModel], above: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        nested = _models(field.annotation)
        found |= _keys(nested[0], f"{above}{name}.") if nested else {f"{above}{name}"}
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _models(part)]


def _shown(table: dict[str, Any], above: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in table.items():
        path = f"{above}{name}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            found |= set().union(*(_shown(item, f"{path}.") for item in value))
        elif isinstance(value, dict) and path not in _OPEN:
            found |= _shown(value, f"{path}.")
        else:
            found.add(path)
    return found


@pytest.mark.parametrize(
    ("page", "link"),
    [
        (page.relative_to(DOCS), link)
        for page in sorted(DOCS.rglob("*.md"))
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    ],
)
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    assert (DOCS / page).parent.joinpath(link).exists()
