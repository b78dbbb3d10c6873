"""Puts values where another process can read them: in the datagram, or in a slot."""

from __future__ import annotations

import weakref
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.data import Kind, Message, Value, pack
from penstock.errors import InputError
from penstock.executors.multiprocess.transport.arena import INLINE_BYTES, SharedArena, Slot
from penstock.executors.multiprocess.transport.frames import (
    KIND_NUMBERS,
    VERSION,
    Flags,
    FrameType,
    location,
    pack_envelope,
)


class Placed(NamedTuple):
    """A value that is ready to travel; ``holds`` keeps its slots until every lane let go."""

    kind: Kind
    flags: int
    meta: bytes
    inline: bytes
    slabs: tuple[int, ...]
    slab_id: int
    offset: int
    length: int
    checksum: int
    holds: tuple[NDArray[Any], ...]
    copied: bool

    def frame(self, message: Message, lane_sequence: int) -> bytes:
        """The datagram that carries ``message`` as the lane's ``lane_sequence``-th."""
        envelope = pack_envelope(
            VERSION,
            FrameType.DATA,
            KIND_NUMBERS[self.kind],
            self.flags,
            len(self.meta),
            message.epoch,
            message.part,
            lane_sequence,
            message.sequence,
            message.timestamp_us,
            self.slab_id,
            self.offset,
            self.length,
            self.checksum,
        )
        return envelope + self.meta + self.inline


class Placer:
    """Places each value once, however many lanes it goes down.

    It remembers the last value for as long as that value lives, and no longer.
    """

    def __init__(self, arena: SharedArena, max_message_bytes: int) -> None:
        self.arena = arena
        self._max_message_bytes = max_message_bytes
        self._last: tuple[weakref.ref[Value], bool, Placed] | None = None

    def place(self, value: Value, *, verify: bool) -> Placed | None:
        """The value, ready to travel; None while there is no memory for it.

        Raises ``InputError`` for a payload over the limit, ``ValueError`` or ``TypeError``
        for what can't be packed.
        """
        last = self._last
        if last is not None and last[0]() is value and last[1] == verify:
            return last[2]
        placed = self._place(value, verify=verify)
        if placed is not None:
            self._last = (weakref.ref(value, self._forget), verify, placed)
        return placed

    def _forget(self, dead: weakref.ref[Value]) -> None:
        if self._last is not None and self._last[0] is dead:
            self._last = None

    def _place(self, value: Value, *, verify: bool) -> Placed | None:
        packed = pack(value)
        if packed.payload.nbytes > self._max_message_bytes:
            raise InputError(
                f"a message of {packed.payload.nbytes} bytes exceeds max_message_bytes "
                f"{self._max_message_bytes}"
            )
        meta = self._meta(packed.meta)
        spot = self._spot(packed.payload)
        if meta is None or spot is None:
            return None
        own = [place for place in (meta.slot, spot.slot) if place is not None]
        return Placed(
            kind=packed.kind,
            flags=meta.flags | spot.flags | (Flags.CHECKED if verify else 0),
            meta=meta.data,
            inline=spot.data,
            slabs=tuple(slot.slab_id for slot in own),
            slab_id=spot.slot.slab_id if spot.slot else 0,
            offset=spot.slot.offset if spot.slot else 0,
            length=packed.payload.nbytes,
            checksum=zlib.crc32(packed.payload.data) if verify else 0,
            holds=tuple(slot.root for slot in own),
            copied=spot.copied or packed.copied,
        )

    def _meta(self, meta: bytes) -> _Spot | None:
        """A long description goes into a slot of its own, and its location in its place."""
        if len(meta) <= INLINE_BYTES:
            return _Spot(0, meta, None)
        spot = self._spot(np.frombuffer(meta, dtype=np.uint8))
        if spot is None or spot.slot is None:
            return None
        where = location(spot.slot.slab_id, spot.slot.offset, len(meta))
        return _Spot(Flags.META_IN_SLAB, where, spot.slot)

    def _spot(self, payload: NDArray[np.uint8]) -> _Spot | None:
        """Where the payload travels: inline, in the slot it lies in, or copied into one."""
        if payload.nbytes <= INLINE_BYTES:
            return _Spot(Flags.INLINE, payload.tobytes(), None)
        slot = self.arena.locate(payload)
        if slot is not None:
            slot.root.flags.writeable = False
            return _Spot(0, b"", slot)
        slot = self.arena.reserve(payload.nbytes)
        if slot is None:
            return None
        np.copyto(slot.root, payload)
        slot.root.flags.writeable = False
        return _Spot(0, b"", slot, copied=True)


class _Spot(NamedTuple):
    """Flags, what goes into the datagram, and the slot that holds the rest."""

    flags: int
    data: bytes
    slot: Slot | None
    copied: bool = False
