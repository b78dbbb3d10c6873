"""Every kind, type, layout and size through real processes, with and without checksums."""

import numpy as np
import pytest
from pipelines import chain, options, run

from penstock.data import Binary
from penstock.manifest import Settings
from tests.samples import SAMPLES, noise

HOPS = {
    "process": ("EchoNode", "EchoNode"),
    "native between": ("EchoNode", "PassThrough", "EchoNode"),
}
LARGEST = 256 << 20
_STEP = 16 << 20


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("nodes", HOPS.values(), ids=HOPS)
async def test_every_value_crosses_processes_bit_for_bit(nodes, verify):
    outputs = await run(chain(*nodes, verify=verify), SAMPLES.values())
    assert len(outputs) == len(SAMPLES)
    for output, (name, value) in zip(outputs, SAMPLES.items(), strict=True):
        assert output.value == value, name


async def test_the_largest_message_goes_through_processes():
    manifest = chain("EchoNode", "EchoNode", max_message_bytes=LARGEST)
    settings = Settings.model_validate(
        {"limits": {"max_message_bytes": LARGEST, "max_shared_memory_bytes": 6 * LARGEST}}
    )
    data = np.resize(noise(_STEP + 1), LARGEST)
    [output] = await run(manifest, [Binary(data)], options(settings=settings))
    found = output.value.data
    assert found.size == LARGEST
    for start in range(0, LARGEST, _STEP):
        assert np.array_equal(found[start : start + _STEP], data[start : start + _STEP])
