"""The plans of clients' manifests: kept for those that come again, and made apart where that takes.

Reading and planning a manifest is Python's work alone, tens of microseconds for each node.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from penstock.data import ExecutorType
from penstock.errors import ConfigurationError, Fault, ManifestError
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.planning import ExecutorRegistry, NodeExecutionPlan, make_plan
from penstock.service.callers import ANYBODY, Caller
from penstock.wire.manifests import check_size, decode_manifest
from penstock.wire.v1 import execution_pb2 as pb

REMEMBERED = 64
"""Plans that are kept, for clients that run the same manifest again and again."""
REMEMBERED_BYTES = 16 << 10
"""The largest manifest whose plan is."""
HERE_BYTES = 4 << 10
"""The largest that is planned on the event loop: what takes a few milliseconds at most."""
MOST_FAULTS = 100
"""What a client hears of a manifest at once; of more faults only how many there are."""

_Made: TypeAlias = NodeExecutionPlan | tuple[Fault, ...]


def registry_of(settings: Settings) -> ExecutorRegistry:
    """What gives nodes their executors.

    Raises ``ConfigurationError`` for rules that are wrong, and for a default that no build has: it
    would have nearly every manifest refused, each at its client's.
    """
    registry = ExecutorRegistry.from_settings(settings)
    if registry.default_executor is ExecutorType.WASM:
        expected = f"{ExecutorType.NATIVE} or {ExecutorType.MULTIPROCESS}"
        message = f"the wasm executor is not available in this build; expected {expected}"
        found = str(ExecutorType.WASM)
        raise ConfigurationError([Fault("executors.default", message, found, expected)])
    return registry


class Plans:
    """Plans manifests for a service with these settings and nodes; ``close`` it.

    One large manifest is planned at a time, however many come: others have at least every second
    turn of the interpreter.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._registry = registry_of(settings)
        self._known: dict[bytes, _Made] = {}
        self._apart = ThreadPoolExecutor(1, "penstock-plans")

    async def plan(
        self, message: pb.PipelineManifest, caller: Caller = ANYBODY
    ) -> NodeExecutionPlan:
        """Raises ``ManifestError`` with what is wrong with the manifest.

        Before that, ``AccessError`` for a node type that the ``caller`` may not use: what is wrong
        with such a node's parameters would say what it has.
        """
        check_size(message)
        caller.check_types(node.node_type for node in message.nodes)
        size = message.ByteSize()
        key = message.SerializeToString(deterministic=True) if size <= REMEMBERED_BYTES else b""
        made = self._known.get(key)
        if made is None and size <= HERE_BYTES:
            made = self._made(message)
        elif made is None:
            made = await asyncio.get_running_loop().run_in_executor(
                self._apart, self._made, message
            )
        self._remember(key, made)
        if isinstance(made, tuple):
            raise ManifestError(made)
        return made

    def close(self) -> None:
        """Plan nothing more; what is being planned is for nobody."""
        self._apart.shutdown(wait=False, cancel_futures=True)

    def _made(self, message: pb.PipelineManifest) -> _Made:
        try:
            return make_plan(
                decode_manifest(message),
                self._catalogue,
                self._settings,
                trusted=False,
                registry=self._registry,
            )
        except ManifestError as exc:
            return _first(exc.faults)

    def _remember(self, key: bytes, made: _Made) -> None:
        if key:
            self._known[key] = made
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]


def _first(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    left = len(faults) - MOST_FAULTS
    if left <= 0:
        return faults
    return (*faults[:MOST_FAULTS], Fault("", f"there are {left} faults more"))
