"""Two actors of Ray: ``python -m bench.frameworks.ray_driver LINK graph`` (or ``actors``).

The driver has the first actor make each payload, in a compiled graph or by calls, and the second
one notes it. Ray sends what a method returns: the clock starts in the method that makes the
payload, and stops in the one that gets it, as everywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from time import perf_counter_ns
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.dag import InputNode

from bench.hops.link import SourceLink, TargetLink
from bench.hops.payload import Order, Pattern, Stamp

_MAX_PAYLOAD = 8 << 20
_STORE_BYTES = 200 << 20
Wish = tuple[int, int, bool]
"""A payload's size, how many remain after it, and whether they go in turns."""


class Source:
    """Makes payloads."""

    def __init__(self) -> None:
        self._patterns: dict[int, Pattern] = {}

    def pid(self) -> int:
        return os.getpid()

    def make(self, wish: Wish) -> NDArray[np.uint8]:
        nbytes, remaining, turns = wish
        if nbytes not in self._patterns:
            self._patterns[nbytes] = Pattern(nbytes)
        started_ns = perf_counter_ns()
        payload = np.empty(nbytes, np.uint8)
        self._patterns[nbytes].write(payload, Stamp(started_ns, remaining, turns))
        return payload


class Target:
    """Notes what arrives."""

    def __init__(self, link: str) -> None:
        self._link = TargetLink(link)

    def ready(self) -> None:
        self._link.ready()

    def note(self, payload: NDArray[np.uint8]) -> None:
        arrival = self._link.note(payload)
        if arrival is not None:
            self._link.report(arrival)


def main(link: str, how: str) -> None:
    """Serve orders until killed."""
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        _temp_dir=os.getcwd(),
    )
    source: Any = ray.remote(num_cpus=0)(Source).remote()
    target: Any = ray.remote(num_cpus=0)(Target).remote(link)
    send = {"graph": _by_graph, "actors": _by_calls}[how](source, target)
    with closing(SourceLink(link)) as orders:
        ray.get(target.ready.remote())
        orders.ready(ray.get(source.pid.remote()))
        for order in orders.orders():
            _serve(order, orders, send)


def _serve(order: Order, link: SourceLink, send: Callable[[Wish], Any]) -> None:
    sent = None
    for remaining in link.turns(order):
        if sent is not None:
            ray.get(sent)
        sent = send((order.nbytes, remaining, order.turns))
    ray.get(sent)


def _by_graph(source: Any, target: Any) -> Callable[[Wish], Any]:
    with InputNode() as wish:
        graph: Any = target.note.bind(source.make.bind(wish))
    execute: Callable[[Wish], Any] = graph.experimental_compile(
        _buffer_size_bytes=_MAX_PAYLOAD
    ).execute
    return execute


def _by_calls(source: Any, target: Any) -> Callable[[Wish], Any]:
    return lambda wish: target.note.remote(source.make.remote(wish))


if __name__ == "__main__":
    main(*sys.argv[1:])
