"""A service listens without gRPC's event engine, unless whoever runs it has chosen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from penstock.service.polling import LISTENER, VARIABLE, is_known

SERVES = """
import asyncio, os, sys
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.polling import VARIABLE

async def main():
    async with running(Settings(), "127.0.0.1:0", Catalogue.installed()):
        print(os.environ[VARIABLE])

asyncio.run(main())
"""


def served(chosen: str | None) -> tuple[str, str]:
    """What a service's process goes by, and what it complains of."""
    around = {name: value for name, value in os.environ.items() if name != VARIABLE}
    around |= {} if chosen is None else {VARIABLE: chosen}
    process = subprocess.run(
        [sys.executable, "-c", SERVES], env=around, capture_output=True, text=True, check=True
    )
    return process.stdout.strip(), process.stderr


@pytest.mark.parametrize("before", [None, "-event_engine_client"])
def test_the_event_engine_does_not_listen(before: str | None) -> None:
    assert served(before)[0] == ",".join(filter(None, (before, f"-{LISTENER}")))


def test_who_has_chosen_is_left_alone() -> None:
    assert served(LISTENER)[0] == LISTENER


def test_what_grpc_knows_is_found_in_its_library() -> None:
    assert is_known(LISTENER)
    assert not is_known("event_engine_of_another_world")
    assert "nknown experiment" not in served(None)[1]
