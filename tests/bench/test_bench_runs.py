"""Every figure can be measured, with real processes; how fast things are is not judged here.

Without the frameworks, which take their time to start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.figures import FIGURES
from bench.hops.rig import SIZES
from bench.transports.packages import WITHOUT

ROOT = Path(__file__).parent.parent.parent
CASES = {
    "plan_time": {"10 nodes", "1,000 nodes"},
    "process_start": {"1 node", "10 nodes at once", "1 node, another interpreter"},
    "session_start": {"native only", "1 process node", "4 process nodes"},
    "cpu_bound": {"3 items through 3 nodes"},
    "hop_latency": set(SIZES),
    "hop_paced": set(SIZES),
    "hop_frameworks": set(SIZES),
    "hop_throughput": set(SIZES),
    "memory_1_mb": {"idle", "1 on their way", "10 on their way", "50 on their way"},
}
TARGETS = {
    "plan_time": {("10 nodes", None, 10)},
    "process_start": {
        ("1 node", None, 10),
        ("10 nodes at once", None, 60),
        ("1 node, another interpreter", "import numpy", 2),
    },
    "service_killed": {("4 process nodes", None, 1000)},
    "cpu_bound": {("3 items through 3 nodes", "side by side", 1.05)},
    "grpc_execute": {("4 KB, a host waits", "floor", 4), ("4 KB, none waits", "floor", 10_000)},
    "grpc_stream_rate": {("4 KB", "floor", 0.6), ("1 MB", "floor", 0.85)},
    "load": {("native sessions", "floor", 0.6)},
    "lateness": {("2 sessions of three processes", None, 20)},
    "interrupt": {
        ("three process hops, inlet full", None, 50),
        ("beside 2 real-time streams", None, 50),
    },
    "hop_latency": {
        ("4 KB", "floor", 1.25),
        ("1 MB", "floor", 1.15),
        ("3.84 MB", "floor", 1.15),
        ("6.2 MB", "floor", 1.15),
        ("4 KB", "iceoryx2", 1.1),
        ("64 KB", "iceoryx2", 1.1),
        ("1 MB", "iceoryx2", 1.1),
        ("3.84 MB", "iceoryx2", 1.1),
        ("6.2 MB", "iceoryx2", 1.2),
        ("4 KB", "multiprocessing.Queue", 1 / 2),
        ("3.84 MB", "multiprocessing.Queue", 1 / 50),
    },
    "hop_frameworks": {
        ("4 KB", "dora-rs", 1 / 3),
        ("1 MB", "dora-rs", 1 / 2),
        ("6.2 MB", "dora-rs", 1 / 1.3),
    },
    "hop_throughput": {("4 KB", None, 60_000), ("3.84 MB", "numpy.copyto", 0.8)},
    "hop_executors": {("native → native, 4 KB", None, 5)},
}
WITHOUT_TARGETS = {*("session_start", "grpc_stream", "executor_throughput", "neighbours")}


def measured(figure: str, out: Path) -> dict[str, Any]:
    """What ``python -m bench --quick`` writes of a figure."""
    command = [sys.executable, "-W", "error", "-m", "bench", "--quick", "--only", figure]
    run = subprocess.run(
        [*command, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, WITHOUT: "dora,ray"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    assert run.stdout.startswith("### ")
    document: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_has_its_rows_contenders_and_targets(figure: str, tmp_path: Path) -> None:
    document = measured(figure, tmp_path / "out" / "results.json")
    assert document["machine"]["cores"] >= 1
    (result,) = document["figures"]
    assert result["figure"] == figure
    rows = {row["case"]: row for row in result["rows"]}
    assert len(rows) == len(result["rows"])
    assert CASES.get(figure, set(rows)) == set(rows)
    for row in rows.values():
        assert "penstock" in row["values"]
        assert all(0 <= value["p50"] <= value["p99"] for value in row["values"].values())
        assert set(row["ratios"]) == set(row["values"]) - {"penstock"}
        assert not set(row["missing"]) & set(row["values"])
    targets = {
        (name, verdict["target"]["of"], verdict["target"]["limit"])
        for name, row in rows.items()
        for verdict in row["verdicts"]
    }
    assert TARGETS.get(figure, targets) == targets
    assert bool(targets) == (figure not in WITHOUT_TARGETS)


def test_frameworks_that_are_left_out_are_told(tmp_path: Path) -> None:
    document = measured("hop_frameworks", tmp_path / "results.json")
    for row in document["figures"][0]["rows"]:
        assert row["missing"] == {"dora-rs": "left out", "Ray, compiled graph": "left out"}
        assert all(verdict["reached"] is None for verdict in row["verdicts"])
