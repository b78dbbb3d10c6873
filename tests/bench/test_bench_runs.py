"""Every figure can be measured, with real processes; how fast things are is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
HOPS = {
    f"{source} → {target}, {size}"
    for source in ("native", "process")
    for target in ("native", "process")
    for size in ("4 KB", "64 KB", "1 MB", "3.84 MB")
}
CASES = {
    "plan_time": {"10 nodes", "1,000 nodes"},
    "session_start": {"native only", "1 process node", "4 process nodes"},
    "cpu_bound": {"3 items through 3 nodes"},
    "grpc_execute": {"4 KB", "1 MB"},
    "grpc_stream": {"4 KB", "1 MB"},
    "grpc_stream_rate": {"4 KB", "1 MB"},
    "hop_latency": HOPS
    | {"process → process, 4 KB, on one core", "process → process, 4 KB, anywhere"},
    "hop_throughput": HOPS,
}
TARGETS = {
    "plan_time": {"10 nodes": {"limit": 10, "of": "value"}},
    "cpu_bound": {"3 items through 3 nodes": {"limit": 1.15, "of": "ratio"}},
    "grpc_execute": {"4 KB": {"limit": 2, "of": "ratio"}},
    "hop_latency": {"process → process, 4 KB, anywhere": {"limit": 2, "of": "ratio"}},
}


def measured(figure: str, out: Path) -> dict[str, Any]:
    """What ``python -m bench --quick`` writes of a figure."""
    command = [sys.executable, "-W", "error", "-m", "bench", "--quick", "--only", figure]
    run = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    assert run.stdout.startswith("### ")
    document: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("figure", CASES)
def test_a_figure_has_its_rows_contenders_and_targets(figure: str, tmp_path: Path) -> None:
    document = measured(figure, tmp_path / "out" / "results.json")
    assert document["machine"]["cores"] >= 1
    (result,) = document["figures"]
    assert result["figure"] == figure
    rows = {row["case"]: row for row in result["rows"]}
    assert rows.keys() == CASES[figure]
    for row in rows.values():
        assert "penstock" in row["values"]
        assert all(0 < value["p50"] <= value["p99"] for value in row["values"].values())
        assert (row["ratio"] is None) == (row["reference"] is None)
        assert row["reference"] is None or row["reference"] in row["values"]
        assert (row["reached"] is None) == (row["target"] is None)
    targets = {case: row["target"] for case, row in rows.items() if row["target"]}
    assert targets == TARGETS.get(figure, {})
