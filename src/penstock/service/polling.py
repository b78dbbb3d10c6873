"""How gRPC waits for what its clients send; must not import gRPC, which reads it as it is imported.

gRPC's *event engine* hands each event from thread to thread before Python's poller hears of it;
the way that it has had for longer lets the poller wait itself. An echo of small messages takes
40 % less CPU with that: see docs/decisions/0030.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
from pathlib import Path

VARIABLE = "GRPC_EXPERIMENTS"
LISTENER = "event_engine_listener"
"""What gRPC calls servers that listen by its event engine."""


def poll_directly() -> None:
    """Have servers of this process listen without the event engine.

    A gRPC that knows no such choice, and an operator who has made it, are left alone.
    """
    chosen = os.environ.get(VARIABLE, "")
    if LISTENER not in chosen and is_known(LISTENER):
        os.environ[VARIABLE] = ",".join(filter(None, (chosen, f"-{LISTENER}")))


def is_known(experiment: str) -> bool:
    """Whether gRPC's library has an experiment of that name: it complains of others."""
    spec = importlib.util.find_spec("grpc")
    folders = [] if spec is None else spec.submodule_search_locations or []
    libraries = [path for folder in folders for path in Path(folder, "_cython").glob("cygrpc*.so")]
    return any(_has(path, b"\0" + experiment.encode() + b"\0") for path in libraries)


def _has(path: Path, wanted: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        return content.find(wanted) >= 0
