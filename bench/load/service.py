"""A service for more streams than one is made for by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rpc.servers import PENSTOCK

_LIMITS = "[limits]\nmax_processes = 1000\n[service.connections]\nmax_streams = 1000\n"


@contextmanager
def roomy() -> Iterator[tuple[str, ...]]:
    """What starts it: it may have as many hosts, and streams of a connection, as it takes."""
    with TemporaryDirectory() as folder:
        config = Path(folder, "penstock.toml")
        config.write_text(_LIMITS, encoding="utf-8")
        yield *PENSTOCK, "--config", str(config)
