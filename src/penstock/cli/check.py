"""``penstock check``: every fault of a manifest at once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from penstock.cli.status import WRONG_INPUT, report
from penstock.cli.surroundings import add_manifest, add_surroundings, surroundings
from penstock.errors import Fault
from penstock.planning import Report, check_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_manifest(parser)
    add_surroundings(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    around = surroundings(arguments)
    found = check_manifest(arguments.manifest, around.catalogue, around.settings)
    if arguments.json:
        print(json.dumps(as_data(found), ensure_ascii=False))
    else:
        report("error", found.faults)
        report("warning", found.warnings)
        if found.ok:
            print(f"{arguments.manifest}: ok")
    return 0 if found.ok else WRONG_INPUT


def as_data(found: Report) -> dict[str, Any]:
    """The report as ``--json`` prints it."""
    return {
        "ok": found.ok,
        "errors": _as_data(found.faults),
        "warnings": _as_data(found.warnings),
    }


def _as_data(faults: Iterable[Fault]) -> list[dict[str, str]]:
    """``path`` and ``message``, and the facts that a fault has besides."""
    return [
        {name: fact for name, fact in asdict(fault).items() if fact is not None} for fault in faults
    ]
