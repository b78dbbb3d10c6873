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
from penstock.manifest.limits import Limits, limit_faults
from penstock.manifest.schema import Document, Executor, MultiprocessDefaults
from penstock.manifest.service import ServiceSettings, service_faults
from penstock.manifest.telemetry import TelemetrySettings


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


class Settings(Document):
    """All of ``penstock.toml``; without arguments, the defaults."""

    executors: ExecutorSettings = ExecutorSettings()
    multiprocess: MultiprocessDefaults = MultiprocessDefaults()
    limits: Limits = Field(default_factory=Limits)
    interpreters: dict[str, str] = Field(default_factory=dict)
    service: ServiceSettings = ServiceSettings()
    telemetry: TelemetrySettings = TelemetrySettings()


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
    faults = [
        *_interpreter_faults(settings),
        *limit_faults(settings.limits, settings.multiprocess),
        *service_faults(settings.service),
    ]
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


def _fault(message: str) -> ConfigurationError:
    return ConfigurationError([Fault("", message)])
