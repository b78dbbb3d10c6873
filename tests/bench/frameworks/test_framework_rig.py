"""Frameworks as their users run them, started and ended, where they are installed."""

from __future__ import annotations

import pytest

from bench.frameworks import framework_rig as rig_module
from bench.frameworks.framework_rig import (
    DORA,
    LINK,
    RAY_ACTORS,
    RAY_GRAPH,
    Framework,
    framework_rig,
)
from bench.hops import link as link_module
from bench.hops.payload import Order
from bench.measurement import PeerError
from bench.transports.packages import WITHOUT, is_there

NEEDS_DORA = pytest.mark.skipif(not is_there("dora_cli"), reason="dora-rs is not installed")
NEEDS_RAY = pytest.mark.skipif(not is_there("ray"), reason="Ray is not installed")


@pytest.mark.parametrize(
    "framework",
    [
        pytest.param(DORA, marks=NEEDS_DORA, id="dora"),
        pytest.param(RAY_GRAPH, marks=NEEDS_RAY, id="ray-graph"),
        pytest.param(RAY_ACTORS, marks=NEEDS_RAY, id="ray-actors"),
    ],
)
async def test_a_framework_carries_out_orders_of_all_sizes(framework: Framework) -> None:
    with framework_rig(framework) as rig:
        for nbytes in (4096, 1 << 20):
            arrival = await rig.run(Order(3, nbytes, turns=True))
            assert (arrival.count, len(arrival.hops_ns)) == (3, 3)


def test_a_framework_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "START_S", 3)
    broken = Framework(("bench.frameworks.no_such_module", LINK), ())
    with pytest.raises(PeerError, match=r"not ready.*No module named"), framework_rig(broken):
        pass


def test_a_framework_that_is_not_there_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WITHOUT, "ray")
    monkeypatch.setattr(rig_module, "kept", None)
    with pytest.raises(PeerError, match="left out"), framework_rig(RAY_GRAPH):
        pass
