"""Names that fit nothing here are told of, and nothing is refused for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bearers import written

from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service.callers import TokenFile
from penstock.service.unheeded import say_which_types_are_none


def test_a_type_that_there_is_not_is_told(caplog: pytest.LogCaptureFixture) -> None:
    mappings = {"PassThru": "native", "PassThrough": "native", "x": "native"}
    settings = Settings.model_validate({"executors": {"mappings": mappings}})
    say_which_types_are_none(settings, Catalogue.installed())
    assert caplog.messages == [
        "executors.mappings: no node type is called 'PassThru' here (did you mean 'PassThrough'?)",
        "executors.mappings: no node type is called 'x' here",
    ]


def test_a_method_that_there_is_not_is_told_with_each_reading(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = (
        "tokens.robot.methods: no method is called 'StreamPipelin' (did you mean 'StreamPipeline'?)"
    )
    path = written(tmp_path / "tokens.toml", 'methods = ["StreamPipelin", "Check", "*Info"]\n')
    tokens = TokenFile(str(path))
    assert caplog.messages == [said]
    os.utime(written(path, 'methods = ["Stream*"]\n'), (1e9, 1e9))
    tokens.current()
    assert caplog.messages == [said]
    os.utime(written(path, 'methods = ["Attach", "StreamPipelin"]\n'), (1e9, 1e9))
    tokens.current()
    assert caplog.messages == [said, said]
