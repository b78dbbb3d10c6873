"""The file with the tokens, read again when it changes, whatever happens meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import pytest
from bearers import OTHER, ROBOT, written
from shortage import no_descriptors

from penstock.manifest import Tokens, digest_of
from penstock.service import callers
from penstock.service.callers import TokenFile

ONE = f'[tokens.other]\nsha256 = "{digest_of(OTHER)}"\n'


def rewritten(path: Path, text: str) -> None:
    """In place, and a while ago."""
    path.write_text(text)
    os.utime(path, (1e9, 1e9))


def test_a_token_that_is_revoked_while_no_descriptor_is_left_is_revoked_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "tokens.toml")
    tokens = TokenFile(str(path))
    rewritten(path, ONE)
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
    rewritten(path, "[tokens.")
    path.chmod(0o640)
    for _ in range(3):
        assert tokens.current().bearer(ROBOT)
    assert read.call_count == caplog.text.count("the tokens stay as they were") == 2
    os.utime(written(path), (1e9, 2e9))
    assert tokens.current().bearer(ROBOT)
    assert read.call_count == 3


UNFINISHED = {"empty": "", "a comment": "\n# who may call\n", "half a token": ONE[:-2]}


@pytest.mark.parametrize("text", UNFINISHED.values(), ids=UNFINISHED)
def test_a_file_that_has_yet_to_be_written_takes_no_token_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """As one does that a shell has emptied for a command that takes its time."""
    path = written(tmp_path / "tokens.toml")
    tokens = TokenFile(str(path))
    rewritten(path, text)
    for _ in range(2):
        assert tokens.current().bearer(ROBOT)
    assert caplog.text.count(f"the tokens stay as they were: service.tokens: {path}") == 1
    rewritten(path, ONE)
    assert tokens.current().bearer(ROBOT) is None


def test_a_file_that_says_that_there_is_no_token_takes_all_away(tmp_path: Path) -> None:
    path = written(tmp_path / "tokens.toml")
    tokens = TokenFile(str(path))
    rewritten(path, "[tokens]\n")
    assert tokens.current().bearer(ROBOT) is None


def just_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, TokenFile]:
    """A file that has been written to a moment ago, for an hour; what was read before holds."""
    path = written(tmp_path / "tokens.toml")
    tokens = TokenFile(str(path))
    monkeypatch.setattr(callers, "_SETTLED_NS", 3600 * 10**9)
    path.write_text(ONE)
    assert tokens.current().bearer(ROBOT)
    return path, tokens


def test_a_file_that_is_just_being_written_in_place_is_read_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there of it may be good, and give a token more than the rest does."""
    path, tokens = just_being_written(tmp_path, monkeypatch)
    os.utime(path, (1e9, 1e9))
    assert tokens.current().bearer(ROBOT) is None


def test_another_file_that_has_just_come_may_have_yet_to_be_written_too(tmp_path: Path) -> None:
    path = written(tmp_path / "tokens.toml")
    tokens = TokenFile(str(path))
    path.unlink()
    path.write_text(ONE)
    assert tokens.current().bearer(ROBOT)


def test_a_file_that_is_written_to_again_and_again_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tokens = just_being_written(tmp_path, monkeypatch)
    monkeypatch.setattr(callers, "_LONGEST_S", 0.0)
    path.write_text(ONE)
    assert tokens.current().bearer(ROBOT) is None


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "tokens.toml")
    tokens, read = TokenFile(str(path)), callers.load_tokens

    def read_half(path: Path) -> Tokens:
        found = read(path)
        monkeypatch.undo()
        path.write_text(path.read_text() + 'methods = ["Check"]\n')
        os.utime(path, (1e9, 1e9))
        return found

    rewritten(path, ONE)
    monkeypatch.setattr(callers, "load_tokens", read_half)
    assert tokens.current().bearer(ROBOT)
    assert f"{path}: has changed while it was read" in caplog.text
    _, rights = tokens.current().bearer(OTHER) or ("", None)
    assert rights is not None
    assert rights.methods == ("Check",)
