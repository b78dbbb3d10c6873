"""The service's processes, as the kernel shows them: what they are, and what they take."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)
_KINDS = {
    "penstock-zygote": "zygote",
    "penstock-super": "supervisor",
    "penstock-host": "host",
}
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")
MOST_PROCESSES = 10_000
"""No service has more; whatever happens in ``/proc``, looking comes to an end."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One process; ``started`` tells it from another that gets its number later."""

    pid: int
    started: int
    kind: str
    node_type: str
    cpu_s: float
    memory_bytes: int


def look(node_types: Mapping[int, str]) -> list[Seen]:
    """This process and all that descend from it; ``node_types`` are those of nodes, by PID.

    What a node has started counts as the node.
    """
    return list(_below(node_types))


def _below(node_types: Mapping[int, str]) -> Iterator[Seen]:
    left = [(os.getpid(), "front_door", "")]
    for _ in range(MOST_PROCESSES):
        if not left:
            return
        pid, kind, node_type = left.pop()
        seen = _see(pid, kind, node_type)
        if seen is not None:
            yield seen
            left += [(child, *_role(child, seen, node_types)) for child in _children(pid)]


def _role(pid: int, parent: Seen, node_types: Mapping[int, str]) -> tuple[str, str]:
    if parent.kind == "node":
        return parent.kind, parent.node_type
    if pid in node_types:
        return "node", node_types[pid]
    return _KINDS.get(_read(pid, "comm").decode(errors="replace").strip(), "other"), ""


def _see(pid: int, kind: str, node_type: str) -> Seen | None:
    """None where it has ended."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    if len(fields) < 22:
        return None
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return Seen(pid, int(fields[19]), kind, node_type, cpu_s, _memory(pid, int(fields[21])))


def _memory(pid: int, resident_pages: int) -> int:
    """Where the kernel tells no shares, all that it has resident."""
    found = _PSS.search(_read(pid, "smaps_rollup"))
    return int(found[1]) << 10 if found else resident_pages * _PAGE


def _children(pid: int) -> list[int]:
    """Those that any of its threads has started; none where the kernel doesn't tell."""
    try:
        threads = os.listdir(_PROC / str(pid) / "task")
    except OSError:
        return []
    return [
        int(child) for thread in threads for child in _read(pid, f"task/{thread}/children").split()
    ]


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
