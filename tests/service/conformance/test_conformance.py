"""Each field and value of the protocol is taken, or answered, or refused with what error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import answers
import attachments
import manifests
import streams
import values
from ledger import CASES, names, show
from wire_client import WireClient

from penstock.manifest import ServiceSettings, Settings
from penstock.nodes import Catalogue

MODULES = (answers, attachments, manifests, streams, values)


@pytest.fixture
def catalogue() -> Catalogue:
    nodes = Path(__file__).parents[2] / "session" / "bus_nodes.py"
    return Catalogue.installed().extended("penstock.testing.faults", str(nodes))


@pytest.fixture
def settings() -> Settings:
    """One that reads the files beside this one, and tells metrics often."""
    here = str(Path(__file__).parent)
    return Settings(service=ServiceSettings(files=(here,), metrics_interval_secs=0.05))


@pytest.mark.parametrize("name", names())
async def test_it_is_taken_or_answered_or_refused(name: str, wire: WireClient) -> None:
    assert name in CASES, f"nothing shows what becomes of {name}"
    await show(name, wire)


def test_nothing_is_shown_that_is_not_there() -> None:
    assert CASES.keys() <= set(names())
    assert all(
        case.__module__ in {module.__name__ for module in MODULES} for case in CASES.values()
    )
