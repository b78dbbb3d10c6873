"""How a Python of ours is started: so that it finds this package and starts no threads."""

from __future__ import annotations

import os
from pathlib import Path

import penstock

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_CALLERS_BLAS_THREADS = "PENSTOCK_CALLERS_OPENBLAS_NUM_THREADS"


def module_arguments(name: str) -> list[str]:
    """Run a module, without the working directory on ``sys.path``."""
    return ["-P", "-m", name]


def environment() -> dict[str, str]:
    """The caller's environment, with this very package first on the path."""
    source = str(Path(penstock.__file__).parents[1])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def single_threaded_environment() -> dict[str, str]:
    """``environment`` for a process that loads numpy and then forks."""
    variables = environment()
    if _BLAS_THREADS in variables:
        variables[_CALLERS_BLAS_THREADS] = variables[_BLAS_THREADS]
    variables[_BLAS_THREADS] = "1"
    return variables


def restore_blas_threads() -> None:
    """In such a process, once numpy is loaded: what nodes load later may have the caller's."""
    callers = os.environ.pop(_CALLERS_BLAS_THREADS, None)
    del os.environ[_BLAS_THREADS]
    if callers is not None:
        os.environ[_BLAS_THREADS] = callers
