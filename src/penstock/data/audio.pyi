from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from penstock.data.values import Audio

class AudioBuilder:
    def __init__(
        self,
        make: type[Audio],
        sample_rate_hz: int,
        metadata: Mapping[str, str],
        metadata_json: bytes | None,
    ) -> None: ...
    def __call__(self, samples: NDArray[Any]) -> Audio: ...

check_audio: Callable[[Any], None]
