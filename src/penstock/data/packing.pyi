from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.data.values import Kind, Value

NO_PAYLOAD: NDArray[np.uint8]

def pack(value: Value) -> tuple[Kind, bytes, NDArray[Any]]: ...
