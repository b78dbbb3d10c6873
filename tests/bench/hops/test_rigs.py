"""Every rig carries orders out, with real processes, and leaves nothing."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from bench.hops.contenders import between_executors, between_processes
from bench.hops.measures import hops_us, measured, rate
from bench.hops.pair_rig import pair_rig
from bench.hops.payload import Order
from bench.hops.placement import two_cores
from bench.hops.rig import HOPS, WITHIN, Hop, Rig
from bench.measurement import Unavailable
from bench.transports.bare import bare
from bench.transports.packages import WITHOUT

NBYTES = 70_000


async def carries_out_orders(rig: Rig, *, turns: bool) -> None:
    arrival = await rig.run(Order(1, NBYTES))
    assert (arrival.count, arrival.hops_ns) == (1, ())
    assert arrival.took_ns > 0
    if turns:
        arrival = await rig.run(Order(5, NBYTES, turns=True, interval_us=1))
        assert (arrival.count, len(arrival.hops_ns)) == (5, 5)
        assert all(hop_ns > 0 for hop_ns in arrival.hops_ns)
    arrival = await rig.run(Order(30, NBYTES))
    assert arrival.count == 30


async def test_all_who_race_between_processes_carry_out_the_same_orders() -> None:
    async with between_processes(NBYTES) as racers:
        there = {name: rig for name, rig in racers.items() if not isinstance(rig, Unavailable)}
        assert {"floor", "penstock", "multiprocessing.Queue", "multiprocessing.Pipe"} <= set(there)
        for rig in there.values():
            await carries_out_orders(rig, turns=True)


@pytest.mark.parametrize("hop", HOPS)
async def test_all_who_race_between_executors_carry_out_the_same_orders(hop: Hop) -> None:
    async with between_executors(hop, NBYTES) as racers:
        for rig in racers.values():
            assert not isinstance(rig, Unavailable)
            await carries_out_orders(rig, turns=hop != WITHIN)


async def test_a_peer_that_is_left_out_still_has_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(WITHOUT, "iceoryx2,zmq")
    async with between_processes(NBYTES) as racers:
        assert racers["iceoryx2"] == racers["pyzmq"] == Unavailable("left out")
        with measured(racers, lambda rig: rate(Order(1, NBYTES), rig)) as contenders:
            assert contenders["iceoryx2"] == Unavailable("left out")


async def test_on_two_cores_as_anywhere() -> None:
    order = Order(3, NBYTES, turns=True)
    with ExitStack() as stack:
        rig = stack.enter_context(pair_rig(stack.enter_context(bare(NBYTES))))
        cores = two_cores()
        racers = {"floor": rig}
        contenders = stack.enter_context(measured(racers, lambda r: hops_us(order, r), cores))
        measure = contenders["floor"]
        assert not isinstance(measure, Unavailable)
        assert len(await measure()) == 3
