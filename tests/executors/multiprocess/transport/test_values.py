"""Every kind, type, layout and size crosses a lane bit for bit."""

import numpy as np
import pytest

from penstock.data import Audio, Binary, Message, Tensor
from penstock.errors import InputError
from tests.samples import SAMPLES, noise

LARGEST = 256 << 20
_STEP = 16 << 20


@pytest.mark.parametrize("verify", [False, True])
def test_every_value_crosses_bit_for_bit(lanes, verify):
    pair = lanes(verify=verify)
    for number, (name, value) in enumerate(SAMPLES.items()):
        sent = Message(value, 2**64 - 1 - number, number, -5, 3, "a")
        assert pair.sender.offer(sent), name
        (received,) = pair.drain()
        assert received == sent, name
    assert pair.broken == []


@pytest.mark.parametrize("name", [n for n in SAMPLES if n.startswith(("tensor", "audio"))])
def test_arrays_keep_their_order_where_it_is_one(lanes, name):
    pair = lanes()
    value = SAMPLES[name]
    pair.sender.offer(Message(value))
    (received,) = pair.drain()
    sent, found = _array(value), _array(received.value)
    assert found.flags.c_contiguous or found.flags.f_contiguous
    if isinstance(value, Tensor) and sent.flags.f_contiguous:
        assert found.flags.f_contiguous
    assert not found.flags.writeable


def _array(value):
    return value.samples if isinstance(value, Audio) else value.array


@pytest.mark.parametrize("verify", [False, True])
def test_a_lane_takes_any_size_after_any_other(lanes, verify):
    pair = lanes(verify=verify)
    sizes = [0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 65_537, 1 << 20, 3_840_000, 16 << 20]
    for nbytes in [*sizes, *reversed(sizes)]:
        value = Binary(noise(nbytes))
        assert pair.sender.offer(Message(value)), nbytes
        (received,) = pair.drain()
        assert received.value == value, nbytes
        del received
    assert pair.sender.statistics().payload_bytes == 2 * sum(sizes)


@pytest.mark.parametrize("verify", [False, True])
def test_a_quarter_of_a_gibibyte_crosses(lanes, verify):
    pair = lanes(budget=2 * LARGEST, max_message_bytes=LARGEST, verify=verify)
    data = np.resize(noise(_STEP + 1), LARGEST)
    assert pair.sender.offer(Message(Binary(data)))
    (received,) = pair.drain()
    found = received.value.data
    assert found.size == LARGEST
    for start in range(0, LARGEST, _STEP):
        assert np.array_equal(found[start : start + _STEP], data[start : start + _STEP])
    with pytest.raises(InputError, match="exceeds max_message_bytes"):
        pair.sender.offer(Message(Binary(np.empty(LARGEST + 1, np.uint8))))
