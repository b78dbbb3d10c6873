"""Where a node runs."""

from __future__ import annotations

from enum import StrEnum


class ExecutorType(StrEnum):
    """The three executors of the data model."""

    NATIVE = "native"
    """In the session's own process: compiled libraries under Python."""

    MULTIPROCESS = "multiprocess"
    """In a Python process of the node's own, with its own GIL."""

    WASM = "wasm"
    """In a sandboxed WebAssembly module."""
