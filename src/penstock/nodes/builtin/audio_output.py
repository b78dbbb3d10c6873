"""The last node of an audio pipeline: what leaves has the rate and type that were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from penstock.data import Audio, ExecutorType, replace
from penstock.nodes.base import Node, node
from penstock.nodes.builtin.resampler import Resampler
from penstock.nodes.builtin.sample_format import FORMATS, alike, convert
from penstock.nodes.params import NodeParams


class AudioOutputParams(NodeParams):
    """What the audio shall be; null leaves it as it comes."""

    sample_rate_hz: int | None = Field(
        None, ge=1_000, le=384_000, description="rate to resample to, in Hz; null keeps it"
    )
    format: Literal["F32", "I16", "I32"] | None = Field(
        None, description="sample type to convert to; null keeps it"
    )


@node("AudioOutputNode", executor=ExecutorType.NATIVE)
class AudioOutput(Node):
    """Hand audio to the client, or to a node, in the rate and the sample type that it wants.

    Audio that is that already passes unchanged, without a copy. Sample types are scaled to
    full scale and clipped. Resampling is band-limited and goes on over chunk borders, so that
    chunks come a little later than their input, the last at the end of the stream; a change
    of rate, type or channels ends one stretch and begins another. Resampling needs
    `pip install 'penstock[resample]'`.
    """

    Params = AudioOutputParams
    params: AudioOutputParams

    def setup(self) -> None:
        self._resampler: Resampler | None = None
        self._last: Audio | None = None

    def process(self, item: Audio) -> Iterator[Audio]:
        item = self._converted(item)
        target = self.params.sample_rate_hz
        if self._last is None or not alike(self._last, item):
            yield from self.flush()
            self._resampler = _resampler(item, target)
        self._last = item
        if self._resampler is None:
            yield item
        else:
            yield from self._resampled(self._resampler.push(item.samples))

    def flush(self) -> Iterator[Audio]:
        if self._resampler is not None:
            rest = self._resampler.finish()
            self._resampler = None
            yield from self._resampled(rest)

    def interrupt(self) -> None:
        self._resampler = self._last = None

    def _converted(self, item: Audio) -> Audio:
        wanted = FORMATS.get(self.params.format or "", item.samples.dtype)
        if wanted == item.samples.dtype:
            return item
        return replace(item, samples=convert(item.samples, wanted))

    def _resampled(self, samples: NDArray[Any]) -> Iterator[Audio]:
        rate = self.params.sample_rate_hz
        if len(samples) and self._last is not None and rate is not None:
            yield replace(self._last, samples=samples, sample_rate_hz=rate)


def _resampler(item: Audio, target_hz: int | None) -> Resampler | None:
    if target_hz is None or target_hz == item.sample_rate_hz:
        return None
    return Resampler(
        item.sample_rate_hz, target_hz, channels=item.channels, dtype=item.samples.dtype
    )
