"""The shared memory of one process: the slots it owns and the views it has on others'.

Every payload in it is represented by one root array. What a node or a lane holds of a payload
holds the root; when the root dies, an own slot is free again, and a foreign one is released
to the process that it came from.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.bridges import no_listener
from penstock.executors.multiprocess.transport.slab import (
    ForeignSlab,
    Slab,
    slab_slots,
    slot_size,
)

INLINE_BYTES = 1024
"""Payloads up to this size ride in the datagram and need no slot."""
_SLABS_PER_OWNER = 1 << 16


class Lessor(Protocol):
    """Whom a slot goes back to when nobody looks at it any more."""

    def take_back(self, token: int, slab_id: int, nbytes: int) -> None:
        """The array for ``token`` has died; called on whichever thread that happened."""


class Region(weakref.ref[NDArray[np.uint8]]):
    """Where a root array lies; a weak reference that acts when the array dies."""

    __slots__ = ("key", "length", "lessor", "offset", "slab_id", "token")

    key: int
    slab_id: int
    offset: int
    length: int
    lessor: Lessor
    token: int


class Slot(NamedTuple):
    """A stretch of a slab, and the root array that keeps it."""

    slab_id: int
    offset: int
    root: NDArray[np.uint8]


class SharedArena:
    """Allocates slots, views foreign ones, and knows where an array lies.

    ``owner`` makes slab IDs unique in the session; own slabs never exceed ``budget_bytes``.
    Any thread may allocate, and arrays may die on any thread; everything else belongs to the
    thread of the process's loop. ``on_free`` is called, wherever the last view died, when an
    own slot is free again, ``on_full`` where ``allocate`` finds none, and ``on_retired`` with the
    ID of a slab that nobody may refer to any more.
    """

    def __init__(self, owner: int, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self.on_free: Callable[[], None] = no_listener
        self.on_full: Callable[[], None] = no_listener
        self.on_retired: Callable[[int], None] = lambda _slab_id: None
        self._lock = threading.Lock()
        self._next_id = owner * _SLABS_PER_OWNER
        self._classes: dict[int, list[Slab]] = {}
        self._own: dict[int, Slab] = {}
        self._recent: dict[int, Slab] = {}
        self._foreign: dict[int, ForeignSlab] = {}
        self._regions: dict[int, Region] = {}

    def allocate(self, nbytes: int) -> NDArray[np.uint8] | None:
        """A writable root array, in an own slot where it is not small enough to ride along.

        None while the budget leaves no room.
        """
        if nbytes <= INLINE_BYTES:
            return np.empty(nbytes, dtype=np.uint8)
        slot = self.reserve(nbytes)
        return None if slot is None else slot.root

    def reserve(self, nbytes: int) -> Slot | None:
        """An own slot, free again when its root array dies; None while there is no room."""
        with self._lock:
            slab = self._recent.get(nbytes)
            if slab is None or not slab.free:
                slab = self._slab_with_room(slot_size(nbytes))
                if slab is None:
                    self.on_full()
                    return None
                self._recent = {nbytes: slab}
            index = slab.free.pop()
        offset = index * slab.slot_bytes
        root = np.frombuffer(slab.memory, np.uint8, nbytes, offset)
        self._remember(root, slab.slab_id, offset, slab, index)
        return Slot(slab.slab_id, offset, root)

    def view(
        self, slab_id: int, offset: int, length: int, lessor: Lessor, token: int
    ) -> NDArray[np.uint8]:
        """A read-only root array on a foreign slot, which goes back to ``lessor``.

        Raises ``ValueError`` where there is no such slab or the range lies outside it.
        """
        slab = self._checked(slab_id, offset, length)
        root = np.frombuffer(slab.memory, np.uint8, length, offset)
        self._remember(root, slab_id, offset, lessor, token)
        return root

    def peek(self, slab_id: int, offset: int, length: int) -> bytes:
        """A copy of some bytes of a foreign slab; raises as ``view`` does."""
        slab = self._checked(slab_id, offset, length)
        return slab.memory[offset : offset + length]

    def _checked(self, slab_id: int, offset: int, length: int) -> ForeignSlab:
        slab = self._foreign.get(slab_id)
        if slab is None:
            raise ValueError(f"it lies in slab {slab_id}, which was never announced")
        if offset + length > slab.nbytes:
            raise ValueError(
                f"bytes {offset} to {offset + length} lie outside a slab of {slab.nbytes}"
            )
        return slab

    def locate(self, payload: NDArray[Any]) -> Slot | None:
        """The slot that an array's bytes lie in; None if they lie elsewhere.

        ``payload`` must be contiguous: one slice of the slot.
        """
        root = payload
        while isinstance(root.base, np.ndarray):
            root = root.base
        region = self._regions.get(id(root))
        if region is None:
            return None
        skipped = 0 if payload.nbytes == region.length else _address(payload) - _address(root)
        return Slot(region.slab_id, region.offset + skipped, root)

    def adopt(self, slab_id: int, fd: int, lane: str) -> None:
        """Map a foreign slab; takes the descriptor over."""
        known = self._foreign.get(slab_id)
        slab = ForeignSlab(fd, lane)
        if known is None:
            self._foreign[slab_id] = slab
        else:
            slab.close()

    def slab_bytes(self, slab_id: int) -> int:
        """The size of a foreign slab, which a view on any part of it keeps from being given up."""
        return self._foreign[slab_id].nbytes

    def descriptor(self, slab_id: int) -> int:
        """The descriptor of a slab, own or foreign, to announce it with."""
        foreign = self._foreign.get(slab_id)
        if foreign is not None:
            return foreign.fd
        return self._own[slab_id].fd

    def drop(self, slab_id: int) -> None:
        """A foreign slab's owner has given it up; views that live keep its memory."""
        slab = self._foreign.pop(slab_id, None)
        if slab is not None:
            slab.close()
            self.on_retired(slab_id)

    def close(self) -> None:
        """Close all descriptors; memory goes with the last view on it."""
        for slab in self._own.values():
            slab.close()
        for foreign in self._foreign.values():
            foreign.close()
        self._classes.clear()
        self._own.clear()
        self._recent.clear()
        self._foreign.clear()
        self.on_free = self.on_full = no_listener

    def _remember(
        self, root: NDArray[np.uint8], slab_id: int, offset: int, lessor: Lessor, token: int
    ) -> None:
        region = Region(root, self._died)
        region.key = key = id(root)
        region.slab_id = slab_id
        region.offset = offset
        region.length = root.nbytes
        region.lessor = lessor
        region.token = token
        self._regions[key] = region

    def _died(self, region: weakref.ref[NDArray[np.uint8]]) -> None:
        assert isinstance(region, Region)  # noqa: S101  # only Regions get this callback
        del self._regions[region.key]
        region.lessor.take_back(region.token, region.slab_id, region.length)

    def _slab_with_room(self, size: int) -> Slab | None:
        slabs = self._classes.setdefault(size, [])
        for slab in slabs:
            if slab.free:
                return slab
        slots = slab_slots(size, sum(slab.slots for slab in slabs))
        while slots > 1 and self.used_bytes + slots * size > self.budget_bytes:
            slots //= 2
        if self.used_bytes + slots * size > self.budget_bytes:
            self._trim()
        if self.used_bytes + slots * size > self.budget_bytes:
            return None
        slab = Slab(self._next_id, size, slots, self._slot_freed)
        self._own[slab.slab_id] = slab
        self._next_id += 1
        self.used_bytes += slab.nbytes
        slabs.append(slab)
        return slab

    def _slot_freed(self) -> None:
        self.on_free()

    def _trim(self) -> None:
        """Give up the slabs that nobody uses, so that another size class can grow."""
        self._recent = {}
        for slabs in self._classes.values():
            for slab in [slab for slab in slabs if slab.idle]:
                slabs.remove(slab)
                del self._own[slab.slab_id]
                slab.close()
                self.used_bytes -= slab.nbytes
                self.on_retired(slab.slab_id)


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
