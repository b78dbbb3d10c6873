"""Packages that a peer needs and that may not be there."""

from __future__ import annotations

import importlib.util
import os

from bench.measurement import PeerError

WITHOUT = "PENSTOCK_BENCH_WITHOUT"
"""The environment variable that names packages to do without, with commas between them."""


def is_there(package: str) -> bool:
    """Whether a package is installed, and wanted."""
    try:
        require(package)
    except PeerError:
        return False
    return True


def require(package: str) -> None:
    """Raise ``PeerError`` where a package isn't installed, or isn't wanted."""
    if package in os.environ.get(WITHOUT, "").split(","):
        raise PeerError("left out")
    if importlib.util.find_spec(package) is None:
        raise PeerError("not installed")
