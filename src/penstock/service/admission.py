"""What all calls of a service share, and the sessions that they have open."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator, Callable

from penstock.errors import ServiceError
from penstock.manifest import Manifest, Settings
from penstock.nodes import Catalogue
from penstock.service.status import ServiceStoppingError
from penstock.session import Budget, Durations, NodeProgress, Session, SessionOptions
from penstock.wire.manifests import decode_manifest
from penstock.wire.methods import PROTOCOL
from penstock.wire.v1 import execution_pb2 as pb

REMEMBERED = 64
"""Manifests that are kept decoded, for clients that run the same one again and again."""
REMEMBERED_BYTES = 16 << 10
"""The largest of them."""
_SAID_VERSION = re.compile(r"v(\d+)(\.\d+)*")


class Admission:
    """Opens sessions within one budget, and ends them all when the service stops."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.stopping = False
        self._budget = Budget(settings.limits)
        self._durations = Durations()
        self._open: set[Session] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.asynccontextmanager
    async def session(
        self,
        manifest: pb.PipelineManifest,
        client_version: str = "",
        on_progress: Callable[[NodeProgress], None] | None = None,
    ) -> AsyncIterator[Session]:
        """A planned session, to be started; everything of it is gone after the block.

        Raises ``ManifestError`` for what can't be planned, ``ServiceError`` for a client of
        another protocol version, ``ServiceStoppingError`` at the service's end.
        """
        if self.stopping:
            raise ServiceStoppingError
        _check_version(client_version)
        options = SessionOptions(
            catalogue=self.catalogue,
            settings=self.settings,
            budget=self._budget,
            durations=self._durations,
            trusted=False,
            on_progress=on_progress,
        )
        session = Session(_decoded(manifest), options)
        self._open.add(session)
        self._empty.clear()
        try:
            yield session
        finally:
            await session.aclose()
            self._open.discard(session)
            if not self._open:
                self._empty.set()

    async def stop(self) -> None:
        """End every open session, admit no more, and wait until the calls have let go."""
        self.stopping = True
        await asyncio.gather(*(session.cancel("the service is stopping") for session in self._open))
        await self._empty.wait()


def _decoded(message: pb.PipelineManifest) -> Manifest:
    """The manifest in a message; small ones that come again are decoded once."""
    serialized = message.SerializeToString(deterministic=True)
    if len(serialized) > REMEMBERED_BYTES:
        return decode_manifest(message)
    return _remembered(serialized)


@functools.lru_cache(maxsize=REMEMBERED)
def _remembered(serialized: bytes) -> Manifest:
    return decode_manifest(pb.PipelineManifest.FromString(serialized))


def compatible(client_version: str) -> bool:
    """Whether a client can be served; one that doesn't say ``v`` and a number can."""
    said = _SAID_VERSION.fullmatch(client_version)
    return said is None or f"v{int(said[1])}" == PROTOCOL


def _check_version(client_version: str) -> None:
    if not compatible(client_version):
        raise ServiceError(
            f"client_version: expected {PROTOCOL}, got {client_version}",
            error_type="VERSION_MISMATCH",
        )
