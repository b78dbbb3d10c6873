"""The file with the tokens, read again when it changes, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from bearers import OTHER, ROBOT, written
from shortage import no_descriptors

from penstock.manifest import digest_of
from penstock.service import callers
from penstock.service.callers import TokenFile


def test_a_token_that_is_revoked_while_no_descriptor_is_left_is_revoked_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "tokens.toml")
    tokens = TokenFile(str(path))
    path.write_text(f'[tokens.other]\nsha256 = "{digest_of(OTHER)}"\n')
    with no_descriptors():
        for _ in range(3):
            assert tokens.current().bearer(ROBOT)
    assert tokens.current().bearer(ROBOT) is None
    assert tokens.current().bearer(OTHER)
    assert caplog.text.count("the tokens stay as they were") == 1


def test_a_file_that_is_no_good_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody may call, and have it read: also with a mode that others may write to."""
    path = written(tmp_path / "tokens.toml")
    tokens, read = TokenFile(str(path)), Mock(wraps=callers.load_tokens)
    monkeypatch.setattr(callers, "load_tokens", read)
    path.chmod(0o666)
    for _ in range(3):
        assert tokens.current().bearer(ROBOT)
    path.write_text("[tokens.")
    path.chmod(0o640)
    for _ in range(3):
        assert tokens.current().bearer(ROBOT)
    assert read.call_count == caplog.text.count("the tokens stay as they were") == 2
    written(path)
    assert tokens.current().bearer(ROBOT)
    assert read.call_count == 3
