"""What this machine has, or the container that we are in: memory, processes, open files."""

from __future__ import annotations

import functools
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_UNIFIED = ("", "unified")
"""Where cgroup v2 is mounted: alone, or beside v1."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What may be used at most; ``open_files`` are those of one process."""

    memory_bytes: int
    processes: int
    open_files: int

    @staticmethod
    @functools.cache
    def here() -> Capacity:
        """That of this machine, as it was when first asked."""
        pages = os.sysconf("SC_PHYS_PAGES")
        memory = pages * os.sysconf("SC_PAGE_SIZE")
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        _, own = resource.getrlimit(resource.RLIMIT_NPROC)
        bound = own != resource.RLIM_INFINITY and os.geteuid() != 0  # it doesn't bind root
        return Capacity(
            memory_bytes=min([memory, *_cgroup_limits("memory", "memory.limit_in_bytes")]),
            processes=min([most, *([own] if bound else []), *_cgroup_limits("pids", "pids.max")]),
            open_files=most_files(),
        )


def most_files() -> int:
    """How many files a process may open: its hard limit, but for one above the system's own.

    Such a one is left where that was lowered later; it can't be set again.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _nr_open()
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


@functools.cache
def _nr_open() -> int:
    """As it was when first asked: whoever asks again may have no descriptor left for that."""
    return int(Path("/proc/sys/fs/nr_open").read_text())


def _cgroup_limits(controller: str, name_in_v1: str) -> Iterator[int]:
    """The limits of our cgroup and of all above it, in both versions."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # a kernel without cgroups
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for mount in _UNIFIED:
                yield from _limits_above(_CGROUPS / mount, path, f"{controller}.max")
        elif controller in controllers.split(","):
            yield from _limits_above(_CGROUPS / controller, path, name_in_v1)


def _limits_above(mount: Path, path: str, name: str) -> Iterator[int]:
    within = Path(path.lstrip("/"))
    for level in (within, *within.parents):
        try:
            written = (mount / level / name).read_text().strip()
        except OSError:
            continue  # the controller isn't here, or the level is hidden from this container
        if written != "max":
            yield int(written)
