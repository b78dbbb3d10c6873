"""What a node may ask of its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.nodes import NodeContext


class Recorder:
    def __init__(self) -> None:
        self.reports: list[tuple[float, str]] = []

    def progress(self, fraction: float, message: str) -> None:
        self.reports.append((fraction, message))

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        return np.zeros(nbytes, np.uint8)

    def stopping(self) -> bool:
        return True


def test_progress_is_held_between_0_and_1() -> None:
    host = Recorder()
    context = NodeContext("a", "s", host)
    for fraction in (-1, 0.4, 7):
        context.progress(fraction, "weights")
    assert [fraction for fraction, _ in host.reports] == [0.0, 0.4, 1.0]


def test_memory_has_the_shape_and_type_asked_for() -> None:
    context = NodeContext("a", "s", Recorder())
    array = context.allocate((3, 2), np.int16)
    assert (array.shape, array.dtype) == ((3, 2), np.int16)
    array[:] = 7
    assert context.allocate(5, "f8").shape == (5,)
    assert context.allocate((), "f4").shape == ()
    assert context.allocate((0, 2), "f4").size == 0


def test_the_logger_has_the_nodes_name_and_stopping_is_passed_on() -> None:
    context = NodeContext("a", "s", Recorder())
    assert context.logger.name.endswith("a")
    assert context.stopping
