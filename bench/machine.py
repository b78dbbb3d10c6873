"""Describes where the figures come from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = (
    "numpy",
    "grpcio",
    "protobuf",
    "msgspec",
    "pydantic",
    "iceoryx2",
    "pyzmq",
    "dora-rs",
    "ray",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware and software of a run; ``load`` is the load average before it, over 1 min."""

    processor: str
    cores: int
    kernel: str
    python: str
    packages: dict[str, str]
    load: float

    @classmethod
    def here(cls) -> Machine:
        return cls(
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)),
            kernel=platform.release(),
            python=platform.python_version(),
            packages=dict(_installed()),
            load=round(os.getloadavg()[0], 2),
        )


def _installed() -> Iterator[tuple[str, str]]:
    """Versions; peers may be missing."""
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()
