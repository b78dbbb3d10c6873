"""Make ``penstock.wire.v1`` from ``proto/*.proto``: ``python tools/generate_proto.py``.

protoc's output is changed in five ways. Its modules import each other relatively and know
their full name. They live in a descriptor pool of their own, so that a program that has its
own ``common.proto`` or ``remotemedia.v1`` can load both. And they don't insist on the runtime
version of the very protoc that made them: what they call is the same in all runtimes that
pyproject.toml allows. Their stubs leave no type out.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "proto"
TARGET = ROOT / "src" / "penstock" / "wire" / "v1"
PACKAGE = "penstock.wire.v1"
CHANGES = (
    (r"^from google\.protobuf import runtime_version .*\n", ""),
    (r"^_runtime_version\.ValidateProtobufRuntimeVersion\((?s:.*?)^\)\n", ""),
    (r"^# Protobuf Python Version: .*\n", ""),
    (r"^from google\.protobuf import descriptor_pool as .*$", f"from {PACKAGE}.pool import POOL"),
    (r"_descriptor_pool\.Default\(\)", "POOL"),
    (r"^import (\w+_pb2) as (\w+)$", r"from . import \1 as \2"),
    (r"\b_Mapping\]", "_Mapping[str, object]]"),
    (r"\*\*kwargs\)", "**kwargs: object)"),
    (r"'(\w+_pb2)', _globals", rf"'{PACKAGE}.\1', _globals"),
)


def generate(target: Path) -> None:
    """Write the modules and their stubs into ``target``; raises ``SystemExit`` if protoc can't."""
    sources = sorted(path.name for path in SOURCES.glob("*.proto"))
    with tempfile.TemporaryDirectory() as made:
        arguments = ["protoc", f"-I{SOURCES}", f"--python_out={made}", f"--pyi_out={made}"]
        status = protoc.main([*arguments, *sources])
        if status:
            raise SystemExit(status)
        for path in sorted(Path(made).iterdir()):
            (target / path.name).write_text(adapted(path.read_text()))


def adapted(code: str) -> str:
    """protoc's output, changed as the module's docstring says."""
    for pattern, replacement in CHANGES:
        code = re.sub(pattern, replacement, code, flags=re.MULTILINE)
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description="make penstock.wire.v1 from proto/*.proto")
    parser.add_argument("--out", type=Path, default=TARGET, help="where to write")
    generate(parser.parse_args().out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
