"""``penstock token``: a token for the client, its hash for the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.main import main
from penstock.manifest import load_tokens


def test_what_it_prints_is_a_file_that_knows_the_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "robot"]) == 0
    said = capsys.readouterr()
    token = said.err.split()[-1]
    assert token not in said.out
    path = tmp_path / "tokens.toml"
    path.write_text(said.out)
    path.chmod(0o600)
    found = load_tokens(path).bearer(token)
    assert found is not None
    assert found[0] == "robot"


@pytest.mark.parametrize("name", ["", "a b", "x]", "a" * 65, "ř"])
def test_a_name_has_to_fit_the_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: a name is 1 to 64 letters, digits, - and _, got {name!r}\n"
