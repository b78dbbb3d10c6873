"""How a Python of ours is started: so that it finds this package and starts no threads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from penstock.executors.multiprocess import stacks

_SOURCE = str(Path(__file__).parents[3])
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_CALLERS_BLAS_THREADS = "PENSTOCK_CALLERS_OPENBLAS_NUM_THREADS"


def module_arguments(name: str) -> list[str]:
    """Run a module, without the working directory on ``sys.path``."""
    return ["-P", "-m", name]


def foreign_arguments(name: str) -> list[str]:
    """Run ``main`` of a module of ours in another interpreter, whose own packages go first.

    Nothing that is imported becomes garbage: looking for some costs a tenth of the time.
    """
    boot = (
        f"import gc, sys; gc.disable(); sys.path.append({_SOURCE!r}); "
        f"from {stacks.__name__} import shrink; shrink(); from {name} import main; "
        "gc.freeze(); gc.enable()"
    )
    return ["-u", "-P", "-c", f"{boot}; main(*map(int, sys.argv[1:]))"]


def environment() -> dict[str, str]:
    """The caller's environment, with this very package first on the path."""
    path = os.pathsep.join(filter(None, [_SOURCE, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def own_path() -> list[str]:
    """The part of ``sys.path`` that is neither this interpreter's library nor its packages."""
    prefixes = tuple(str(Path(prefix)) + os.sep for prefix in {sys.prefix, sys.base_prefix})
    return [entry for entry in sys.path if not f"{entry}{os.sep}".startswith(prefixes)]


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
