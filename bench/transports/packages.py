"""Packages that a peer needs and that may not be there."""

from __future__ import annotations

import importlib.util

from bench.measurement import PeerError


def require(package: str) -> None:
    """Raise ``PeerError`` where a package isn't installed."""
    if importlib.util.find_spec(package) is None:
        raise PeerError("not installed")
