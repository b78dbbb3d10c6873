"""The file of tokens: what it may hold, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigurationError
from penstock.manifest import digest_of, load_tokens, new_token


def written(path: Path, text: str, mode: int = 0o640) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_is_found_by_its_hash(tmp_path: Path) -> None:
    one, other = new_token(), new_token()
    text = f'[tokens.a]\nsha256 = "{digest_of(one)}"\n[tokens.b]\nsha256 = "{digest_of(other)}"\n'
    tokens = load_tokens(written(tmp_path / "tokens.toml", text))
    names = [found[0] if (found := tokens.bearer(said)) else None for said in (one, other, "x")]
    assert names == ["a", "b", None]


def test_tokens_are_long_and_different() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(token) >= 43 for token in made)  # 256 bits in base64


@pytest.mark.parametrize(
    "text",
    [
        '[tokens.a]\nsha256 = "pst_secret"\n',
        '[tokens.a]\nsha256 = ["pst_secret"]\n',
        '[tokens.a]\nsha256 = "{digest}"\ntoken = "pst_secret"\n',
        '[tokens.a]\nsha256 = "{digest}"\nmax_sessions = "pst_secret"\n',
        '[tokens.a]\nsha256 = "{digest}"\nsessions = "pst_secret"\n',
        "[tokens.a]\nsha256 = pst_secret\n",
    ],
)
def test_a_token_in_the_wrong_place_is_not_told(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "tokens.toml", text.replace("{digest}", digest_of("x")))
    with pytest.raises(ConfigurationError) as caught:
        load_tokens(path)
    assert "pst_secret" not in str(caught.value) + repr(caught.value.faults)
    assert "secret" not in repr(caught.value.__cause__)


def test_a_fault_says_which_file_has_it_and_where(tmp_path: Path) -> None:
    text = f'[tokens.a]\nsha256 = "{digest_of("x")}"\nsession = "all"\n'
    path = written(tmp_path / "tokens.toml", text)
    with pytest.raises(ConfigurationError) as caught:
        load_tokens(path)
    said = "tokens.a.session: unknown key (did you mean 'sessions'?)"
    assert str(caught.value) == f"service.tokens: {path}: {said}"


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigurationError, match="others may write to it"):
        load_tokens(written(tmp_path / "tokens.toml", "", mode))
