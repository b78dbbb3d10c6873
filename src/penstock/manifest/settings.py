"""What the operator configures: ``penstock.toml``."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from penstock.data import ExecutorType
from penstock.errors import ConfigurationError, Fault
from penstock.manifest.faults import Closest, faults_of, path_of
from penstock.manifest.interpreters import (
    UnknownInterpreterError,
    executable,
    trusted_interpreter,
)
from penstock.manifest.schema import Document, Executor, MultiprocessDefaults

_MEBIBYTE = 1 << 20
_Positive = Annotated[int, Field(ge=1)]


def _half_of_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


class PatternSettings(Document):
    """Sends node types to an executor: by ``pattern`` (RE2, searched) or by ``suffix``."""

    pattern: Annotated[str, Field(min_length=1)] | None = None
    suffix: Annotated[str, Field(min_length=1)] | None = None
    executor: Executor
    priority: Annotated[int, Field(ge=0, lt=1 << 32)]

    @model_validator(mode="after")
    def _one_of_two(self) -> PatternSettings:
        if (self.pattern is None) == (self.suffix is None):
            raise ValueError("needs either pattern or suffix")
        return self


class ExecutorSettings(Document):
    """``[executors]``: what the ``ExecutorRegistry`` is made of."""

    default: Executor = ExecutorType.MULTIPROCESS
    mappings: dict[str, Executor] = Field(default_factory=dict)
    patterns: Annotated[tuple[PatternSettings, ...], Field(strict=False)] = ()


class Limits(Document):
    """``[limits]``: what all sessions of one service may use together."""

    max_processes: _Positive = 100
    max_sessions: _Positive = 1000
    max_shared_memory_bytes: _Positive = Field(default_factory=_half_of_memory)
    max_message_bytes: _Positive = 64 * _MEBIBYTE


class ServiceSettings(Document):
    """``[service]``: ``bind`` is ``HOST:PORT`` or ``unix:PATH``.

    A stream's client hears of its metrics every ``metrics_interval_secs``.
    """

    bind: Annotated[str, Field(min_length=1)] = "127.0.0.1:50051"
    metrics_interval_secs: Annotated[float, Field(gt=0, le=3600)] = 1.0


class Settings(Document):
    """All of ``penstock.toml``; without arguments, the defaults."""

    executors: ExecutorSettings = ExecutorSettings()
    multiprocess: MultiprocessDefaults = MultiprocessDefaults()
    limits: Limits = Field(default_factory=Limits)
    interpreters: dict[str, str] = Field(default_factory=dict)
    service: ServiceSettings = ServiceSettings()


def load_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """The settings in a TOML file, or the defaults for None.

    Raises ``ConfigurationError`` with every fault, each with its path.
    """
    if path is None:
        return Settings()
    try:
        settings = Settings.model_validate(_read(path))
    except ValidationError as exc:
        raise ConfigurationError(list(faults_of(exc, Settings, closest=Closest()))) from exc
    faults = [*_interpreter_faults(settings), *_limit_faults(settings)]
    if faults:
        raise ConfigurationError(faults)
    return settings


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise _fault(f"{path} can't be read: {exc.strerror or exc}") from exc
    except (ValueError, RecursionError) as exc:  # not UTF-8, not TOML, or nested without end
        raise _fault(f"{path} is not TOML: {exc}") from exc


def _interpreter_faults(settings: Settings) -> list[Fault]:
    faults = []
    for name, where in settings.interpreters.items():
        try:
            executable(where)
        except UnknownInterpreterError as exc:
            faults.append(Fault(path_of(("interpreters", name)), str(exc), found=where))
    wished = settings.multiprocess.python_executable
    if wished is not None and wished not in settings.interpreters:
        try:
            trusted_interpreter(wished, settings.interpreters)
        except UnknownInterpreterError as exc:
            faults.append(Fault("multiprocess.python_executable", str(exc), found=wished))
    return faults


def _limit_faults(settings: Settings) -> list[Fault]:
    limits, wished = settings.limits, settings.multiprocess
    pairs = (
        ("max_processes_per_session", wished.max_processes_per_session, limits.max_processes),
        ("max_message_bytes", wished.max_message_bytes, limits.max_message_bytes),
    )
    return [
        Fault(
            f"multiprocess.{name}",
            f"must be at most the limit of {limit}, got {value}",
            found=str(value),
            expected=f"at most {limit}",
        )
        for name, value, limit in pairs
        if value is not None and value > limit
    ]


def _fault(message: str) -> ConfigurationError:
    return ConfigurationError([Fault("", message)])
