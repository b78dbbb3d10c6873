"""Puts values where another process can read them: in the datagram, or in a slot."""

from __future__ import annotations

import weakref
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.data import Message, Value, pack
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
    """A value that is ready to travel; it holds its slots until every lane has let go of it.

    ``meta`` and ``inline`` go into the datagram; what is longer lies in ``meta_slot`` and
    ``slot``, with its location in the datagram instead.
    """

    kind: int
    flags: int
    meta: bytes
    inline: bytes
    slot: Slot | None
    meta_slot: Slot | None
    length: int
    checksum: int
    copied: bool

    def frame(self, message: Message, lane_sequence: int) -> bytes:
        """The datagram that carries ``message`` as the lane's ``lane_sequence``-th."""
        slot = self.slot
        envelope = pack_envelope(
            VERSION,
            _DATA,
            self.kind,
            self.flags,
            len(self.meta),
            message.epoch,
            message.part,
            lane_sequence,
            message.sequence,
            message.timestamp_us,
            slot.slab_id if slot else 0,
            slot.offset if slot else 0,
            self.length,
            self.checksum,
        )
        return envelope + self.meta + self.inline


_DATA = int(FrameType.DATA)


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
        kind, meta, payload, copied = pack(value)
        length = payload.nbytes
        if length > self._max_message_bytes:
            raise InputError(
                f"a message of {length} bytes exceeds max_message_bytes {self._max_message_bytes}"
            )
        flags, inline = 0, b""
        slot = meta_slot = None
        if len(meta) > INLINE_BYTES:
            meta_slot = self._written(np.frombuffer(meta, dtype=np.uint8))
            if meta_slot is None:
                return None
            flags |= Flags.META_IN_SLAB
            meta = location(meta_slot.slab_id, meta_slot.offset, len(meta))
        if length <= INLINE_BYTES:
            flags |= Flags.INLINE
            inline = payload.tobytes()
        else:
            slot = self.arena.locate(payload)
            if slot is None:
                copied = True
                slot = self._written(payload)
                if slot is None:
                    return None
            slot.root.flags.writeable = False
        checksum = 0
        if verify:
            flags |= Flags.CHECKED
            checksum = zlib.crc32(payload.data)
        number = KIND_NUMBERS[kind]
        return Placed(number, flags, meta, inline, slot, meta_slot, length, checksum, copied)

    def _written(self, payload: NDArray[np.uint8]) -> Slot | None:
        """A copy of the payload in a slot; None while there is no room."""
        slot = self.arena.reserve(payload.nbytes)
        if slot is not None:
            np.copyto(slot.root, payload)
        return slot
