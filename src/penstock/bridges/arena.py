"""The memory that a bridge writes to, as the executors provide it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Arena(Protocol):
    """Memory that another executor can read."""

    def allocate(self, nbytes: int) -> NDArray[np.uint8] | None:
        """A writable flat array that lives until nothing holds it; None where none is free."""

    def holds(self, array: NDArray[Any]) -> bool:
        """Whether the array's bytes lie in this memory already."""
