"""Whether a service and its metrics can be where both are to be."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from penstock.errors import ConfigurationError, Fault
from penstock.manifest import Settings
from penstock.service.address import parse_address
from penstock.telemetry.endpoint import parse_bind


def check_binds(settings: Settings) -> None:
    """Raise ``ConfigurationError`` for metrics where the service listens, and as parsing does."""
    bind, metrics_bind = settings.service.bind, settings.telemetry.metrics_bind
    if not metrics_bind:
        return
    address = parse_address(bind)
    host, port = parse_bind(metrics_bind, remote=settings.telemetry.metrics_remote)
    if not port or port != address.port:  # each that says 0 gets one of its own
        return
    if any(_meet(service, ip_address(host)) for service in address.hosts()):
        message = f"{metrics_bind}: service.bind is {bind}; expected a port of its own"
        expected = "a port of its own, or 0"
        raise ConfigurationError([Fault("telemetry.metrics_bind", message, metrics_bind, expected)])


def _meet(service: IPv4Address | IPv6Address, metrics: IPv4Address | IPv6Address) -> bool:
    """Whether one port can't be both's: ``::`` is all of IPv4 for the service, not for metrics."""
    if service.version != metrics.version:
        return service.version == 6 and service.is_unspecified
    return service == metrics or service.is_unspecified or metrics.is_unspecified
