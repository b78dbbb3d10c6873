"""PassThrough and EchoNode: the very value, whatever its kind."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.data import Audio, BatchHint, Binary, Control, Json, Tensor, Text
from penstock.nodes import Node
from penstock.nodes.builtin.echo import Echo
from penstock.nodes.builtin.pass_through import PassThrough
from penstock.testing import run_node


@pytest.mark.parametrize("cls", [PassThrough, Echo])
async def test_everything_passes(cls: type[Node]) -> None:
    values = [
        Audio(np.arange(3, dtype=np.int16), 1),
        Tensor(np.arange(3)),
        Text("a"),
        Json({"a": 1}),
        Binary.from_bytes(b"a"),
        Control(BatchHint(3)),
    ]
    assert await run_node(cls, values) == values
