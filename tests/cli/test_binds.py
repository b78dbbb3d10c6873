"""Where a service and its metrics can't both be."""

from __future__ import annotations

import pytest

from penstock.cli.binds import check_binds
from penstock.errors import ConfigurationError
from penstock.manifest import ServiceSettings, Settings, TelemetrySettings


def check(bind: str, metrics_bind: str) -> None:
    telemetry = TelemetrySettings(metrics_bind=metrics_bind, metrics_remote=True)
    check_binds(Settings(service=ServiceSettings(bind=bind), telemetry=telemetry))


@pytest.mark.parametrize(
    ("bind", "metrics_bind"),
    [
        ("127.0.0.1:9", "127.0.0.1:9"),
        ("127.0.0.1:9", "localhost:9"),
        ("localhost:9", "127.0.0.1:9"),
        ("0.0.0.0:9", "127.0.0.1:9"),
        ("127.0.0.1:9", "0.0.0.0:9"),
        ("[::1]:9", "[::1]:9"),
        ("[::]:9", "[::1]:9"),
        ("[::]:9", "127.0.0.1:9"),
    ],
)
def test_one_port_is_not_for_both(bind: str, metrics_bind: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(bind, metrics_bind)
    [fault] = caught.value.faults
    assert (fault.path, fault.found) == ("telemetry.metrics_bind", metrics_bind)
    assert f"service.bind is {bind}" in fault.message


@pytest.mark.parametrize(
    ("bind", "metrics_bind"),
    [
        ("127.0.0.1:9", "127.0.0.1:10"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:9", "127.0.0.2:9"),
        ("127.0.0.1:9", "[::]:9"),
        ("unix:/tmp/9", "127.0.0.1:9"),
    ],
)
def test_others_are(bind: str, metrics_bind: str) -> None:
    check(bind, metrics_bind)
