"""Compiles what each message comes by: every ``.pyx`` below ``src`` becomes a module beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("src")
DIRECTIVES = {"language_level": 3, "embedsignature": False, "binding": True, "nonecheck": True}
"""A ``None`` where none may be is an exception, as in Python, and not the end of the process."""


class CompileHook(BuildHookInterface[Any]):
    """Runs before a wheel or an editable install is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return  # a source distribution has the sources
        _require_compiler()
        build_data["artifacts"] += [f"/{path}" for path in compile_modules(Path(self.root))]
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _require_compiler() -> None:
    """Raises ``OSError`` where there is nothing to compile with, before the compiler's own does."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    compiler = command.split()[0]
    header = Path(sysconfig.get_path("include"), "Python.h")
    if shutil.which(compiler) is None:
        raise OSError(f"Penstock compiles its data plane: no C compiler {compiler!r} was found")
    if not header.exists():
        raise OSError(f"Penstock compiles its data plane: Python's headers are missing ({header})")


def compile_modules(root: Path) -> list[Path]:
    """Compile what has changed; gives the modules' paths below ``root``.

    Raises what the compiler does.
    """
    suffix: str = sysconfig.get_config_var("EXT_SUFFIX")
    with contextlib.chdir(root):
        sources = sorted(SOURCES.rglob("*.pyx"))
        _compile(root, sources)
    return [path.with_suffix(suffix) for path in sources]


def _compile(root: Path, sources: list[Path]) -> None:
    import numpy  # noqa: PLC0415  # only there while building
    from Cython.Build import cythonize  # noqa: PLC0415  # the same
    from setuptools import Distribution, Extension  # noqa: PLC0415  # the same

    modules = [
        Extension(
            ".".join(path.relative_to(SOURCES).with_suffix("").parts),
            [str(path)],
            include_dirs=[numpy.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
            extra_compile_args=["-O2"],
        )
        for path in sources
    ]
    build_dir = root / "build" / "cython"
    extensions = cythonize(
        modules,
        include_path=[str(SOURCES)],
        build_dir=str(build_dir),
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
        quiet=True,
    )
    distribution = Distribution(
        {"name": "penstock", "ext_modules": extensions, "package_dir": {"": str(SOURCES)}}
    )
    command = distribution.get_command_obj("build_ext")
    command.inplace = True
    command.build_temp = str(root / "build" / "objects")
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()
