"""Makes what lies beside the tests importable, and says where sessions run that are attached to."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bus_rig import PLACES

from penstock.session.hosting import Hosts


@pytest.fixture(params=["library", "hosted"])
async def around(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, Any]]:
    """A session in this process, and one in a host."""
    if request.param == "library":
        yield {}
        return
    hosts = Hosts(1)
    hosts.refill()
    yield {"hosts": hosts}
    hosts.close()


@pytest.fixture(params=PLACES)
def places(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where three nodes run."""
    return PLACES[request.param]
