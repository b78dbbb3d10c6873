"""Makes ``hosted_nodes`` importable beside the tests, and gives them hosts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.session.hosting import Hosts

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """One blank host at a time, ready or about to be."""
    kept = Hosts(1)
    kept.refill()
    yield kept
    kept.close()
