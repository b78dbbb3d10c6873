"""Whole pipelines, in real processes: what goes in comes out, in order, wherever nodes run."""

import asyncio
import sys
from enum import StrEnum

import numpy as np
import pytest
from pipelines import chain, options, run

from penstock.bridges import ConversionStrategy, LaneState
from penstock.data import (
    Audio,
    BatchHint,
    Binary,
    Control,
    ExecutorType,
    Json,
    Kind,
    PixelFormat,
    Tensor,
    Text,
    Video,
)
from penstock.errors import InputError, SessionClosedError, SessionError
from penstock.session import Durations, Session, SessionStatus

SEVEN_KINDS = [
    Audio(np.arange(9000, dtype=np.int16).reshape(-1, 3), 44_100, {"k": "v"}, b"{}"),
    Video(np.arange(64 * 36 * 3, dtype=np.uint8), 64, 36, PixelFormat.RGB24),
    Tensor(np.asfortranarray(np.arange(6000.0).reshape(60, 100)), "HW"),
    Text("vítej světe" * 300),
    Json({"numbers": [1, 2.5, 2**70]}),
    Binary(np.arange(5000, dtype=np.uint8)),
    Control(BatchHint(4), "segment", 17),
]
WHERE = [
    ("PassThrough",),
    ("EchoNode",),
    ("PassThrough", "EchoNode", "PassThrough"),
    ("EchoNode", "PassThrough", "EchoNode"),
    ("EchoNode", "EchoNode", "EchoNode"),
]


@pytest.mark.parametrize("nodes", WHERE)
async def test_all_seven_kinds_cross_every_border_bit_for_bit(nodes):
    outputs = await run(chain(*nodes), SEVEN_KINDS)
    assert [output.value for output in outputs] == SEVEN_KINDS
    assert [output.sequence for output in outputs] == [1, 2, 3, 4, 5, 6, 7]
    assert {output.node_id for output in outputs} == {f"n{len(nodes) - 1}"}
    assert all(output.latency_s > 0 for output in outputs)


@pytest.mark.parametrize("kind", ["repeat", "repeat_native"])
async def test_a_node_may_give_none_one_or_many(kind):
    outputs = await run(chain((kind, {"times": 3}), "PassThrough"), [Text("a"), Text("b")])
    assert [(o.value.text, o.sequence, o.part) for o in outputs] == [
        ("a0", 1, 0), ("a1", 1, 1), ("a2", 1, 2), ("b0", 2, 0), ("b1", 2, 1), ("b2", 2, 2),
    ]  # fmt: skip
    assert await run(chain((kind, {"times": 0})), [Text("a")]) == []


@pytest.mark.parametrize("kind", ["collect", "collect_native"])
async def test_the_end_flushes_what_is_buffered(kind):
    outputs = await run(chain(kind, "EchoNode"), [Text("a"), Text("b"), Text("c")])
    assert [(o.value.text, o.sequence) for o in outputs] == [("a,b,c", 3)]


@pytest.mark.parametrize("kind", ["shout", "shout_native"])
async def test_async_nodes(kind):
    outputs = await run(chain(kind), [Text("a"), Text("b")])
    assert [o.value.text for o in outputs] == ["A", "!", "B", "!", "2 shouted"]


@pytest.mark.parametrize("kind", ["count", "count_native"])
async def test_a_producer_runs_by_itself_to_its_end(kind):
    outputs = await run_without_inputs(chain((kind, {"times": 5}), "EchoNode"))
    assert [o.value.value for o in outputs] == [1, 2, 3, 4, 5]
    assert [o.sequence for o in outputs] == [1, 2, 3, 4, 5]


async def run_without_inputs(manifest):
    async with Session(manifest, options()) as session:
        return [output async for output in session.outputs()]


@pytest.mark.parametrize("kind", ["count", "count_native"])
async def test_a_producer_may_go_on_to_its_own_end(kind):
    async with Session(chain((kind, {"times": 200})), options()) as session:
        await session.end(keep_producing=True)
        assert len([output async for output in session.outputs()]) == 200


async def test_credit_is_heard_between_the_outputs_of_one_input():
    manifest = chain("trickle", channel_capacity=20, enable_backpressure=False)
    manifest["nodes"].append({"id": "reader", "node_type": "EchoNode"})
    manifest["connections"] = [{"from": "n0", "to": "reader"}]
    outputs = await run(manifest, [Text("go")])
    assert len(outputs) > 250


@pytest.mark.parametrize("kind", ["count", "count_native"])
async def test_close_asks_a_producer_to_stop_and_nothing_is_lost(kind):
    async with Session(chain((kind, {"times": 0})), options()) as session:
        numbers = []
        async for output in session.outputs():
            numbers.append(output.value.value)
            if len(numbers) == 50:
                await session.end()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 50


async def test_fan_out_and_fan_in_keep_the_order_of_each_edge():
    manifest = chain(
        "PassThrough", ("repeat", {"times": 1}), "EchoNode", "PassThrough",
        connections=[("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3")],
    )  # fmt: skip
    outputs = await run(manifest, [Text(f"{number}.") for number in range(200)])
    assert len({(o.sequence, o.part) for o in outputs}) == 400
    for ending in (".", ".0"):
        arm = [o for o in outputs if o.value.text.endswith(ending)]
        assert [o.value.text for o in arm] == [f"{number}{ending}" for number in range(200)]
        assert [o.sequence for o in arm] == list(range(1, 201))


async def test_a_node_knows_by_which_connection_its_input_came():
    manifest = chain("PassThrough", "PassThrough", "origin",
                     connections=[("n0", "n2"), ("n1", "n2")])  # fmt: skip
    async with Session(manifest, options()) as session:
        await session.send("n0", Text("a"), sequence=7)
        await session.send("n1", Text("b"), sequence=8)
        await session.end()
        texts = {output.value.text async for output in session.outputs()}
    assert texts == {"a from n0 #7.0", "b from n1 #8.0"}


async def test_kinds_that_a_consumer_does_not_accept_are_filtered_and_counted():
    async with Session(chain("both", "only_text"), options()) as session:
        await session.send("n0", Binary(np.zeros(10, np.uint8)))
        await session.end()
        outputs = [output async for output in session.outputs()]
        lanes = (await session.metrics()).lanes
        filtered = {(lane.source, lane.target): lane.filtered for lane in lanes}
    assert [o.value for o in outputs] == [Text("binary")]
    assert filtered["n0", "n1"] == {Kind.BINARY: 1}


async def test_allocated_outputs_and_pass_through_are_not_copied():
    manifest = chain("tone", "EchoNode", "PassThrough", "EchoNode", "PassThrough")
    async with Session(manifest, options()) as session:
        for number in range(20):
            await session.send("n0", Audio(np.full(30_000, number, np.int16), 16_000))
        await session.end()
        outputs = [output async for output in session.outputs()]
        copies = {
            lane.spec.name: lane.producer.copies + lane.consumer.copies
            for bridge in session.context.data_bridges
            for lane in bridge.lanes.values()
        }
    assert [o.value.samples[0, 0] for o in outputs] == [2 * n for n in range(20)]
    assert copies.pop("client → n0") == 20
    assert set(copies.values()) == {0}


async def test_more_than_the_capacity_waits_for_the_reader():
    manifest = chain("PassThrough", "EchoNode", channel_capacity=3)
    inputs = [Text(str(number)) for number in range(500)]
    outputs = await run(manifest, inputs)
    assert [o.value.text for o in outputs] == [v.text for v in inputs]


@pytest.mark.parametrize("kind", WHERE)
async def test_what_need_not_wait_is_sent_at_once_and_overtakes_nothing(kind):
    async with Session(chain(*kind, channel_capacity=2), options()) as session:
        sent = []
        while (number := session.send_nowait("n0", Text(str(len(sent))))) is not None:
            sent.append(number)
        assert sent == list(range(1, len(sent) + 1))
        assert sent[1:]  # it has room for two
        waiting = asyncio.create_task(session.send("n0", Text(str(len(sent)))))
        await asyncio.sleep(0)
        outputs = session.outputs()
        found = []
        last = None
        while last is None:  # there is room again, but somebody waited for it before
            found.append((await anext(outputs)).value.text)
            last = session.send_nowait("n0", Text("last"))
        assert waiting.done()
        await session.end()
        found += [output.value.text async for output in outputs]
        assert found == [*(str(number) for number in range(len(sent) + 1)), "last"]
        assert (await waiting, last) == (len(sent) + 1, len(sent) + 2)
    with pytest.raises(SessionClosedError):
        session.send_nowait("n0", Text("late"))


async def test_without_backpressure_a_slow_consumer_loses_messages_and_they_are_counted():
    manifest = chain("PassThrough", "EchoNode", "PassThrough",
                     channel_capacity=4, enable_backpressure=False)  # fmt: skip
    async with Session(manifest, options()) as session:
        for number in range(300):
            await session.send("n0", Text(str(number)))
            if number % 100 == 0:
                await asyncio.sleep(0)
        await session.end()
        outputs = [int(output.value.text) async for output in session.outputs()]
    metrics = await session.metrics()
    assert outputs == sorted(set(outputs))
    assert len(outputs) + metrics.dropped == 300
    assert metrics.dropped > 0


async def test_the_context_shows_every_relationship_and_is_released_at_the_end():
    session = Session(chain("PassThrough", "EchoNode", "EchoNode", "PassThrough"), options())
    context = session.context
    assert context.status is SessionStatus.INITIALIZING
    async with session:
        assert context.status is SessionStatus.READY
        bindings = context.executor_bindings
        assert [b.executor_type for b in bindings] == ["native", "multiprocess"]
        assert {b.session_id for b in bindings} == {session.session_id}
        assert context.node_assignments == {
            "n0": ExecutorType.NATIVE, "n1": ExecutorType.MULTIPROCESS,
            "n2": ExecutorType.MULTIPROCESS, "n3": ExecutorType.NATIVE,
        }  # fmt: skip
        with pytest.raises(TypeError):
            context.node_assignments["n0"] = ExecutorType.WASM
        assert {b.conversion_strategy for b in context.data_bridges} == {
            ConversionStrategy.DIRECT, ConversionStrategy.NATIVE_TO_IPC,
            ConversionStrategy.SHARED_MEMORY, ConversionStrategy.IPC_TO_NATIVE,
        }  # fmt: skip
        crossing = [b for b in context.data_bridges if b.source_executor != b.target_executor]
        executors = len(context.executors)
        assert len(crossing) <= executors * (executors - 1)
        flows = {flow.executor_type: flow for flow in context.data_flows}
        inbound = {b.source_executor for b in flows[ExecutorType.MULTIPROCESS].inbound_bridges}
        assert inbound == {ExecutorType.NATIVE, ExecutorType.MULTIPROCESS}
        assert context.multiprocess_config.channel_capacity == 100
        with pytest.raises(SessionError, match="has a native executor already"):
            context.bind(bindings[0].executor_instance)
        await session.send("n0", Text("x"))
        assert context.status is SessionStatus.EXECUTING
        await session.end()
        assert [o.value async for o in session.outputs()] == [Text("x")]
    assert context.status is SessionStatus.TERMINATED
    assert context.executors == {}
    assert {b.state for b in context.data_bridges} == {LaneState.CLOSED}
    assert context.faults == []


async def test_a_native_session_needs_no_process_configuration():
    async with Session(chain("PassThrough"), options()) as session:
        assert session.context.multiprocess_config is None
        assert list(session.context.executors) == [ExecutorType.NATIVE]


async def test_metrics_are_what_happened():
    async with Session(chain("PassThrough", "EchoNode"), options()) as session:
        for _ in range(3):
            await session.send("n0", Binary(np.zeros(2000, np.uint8)))
        await session.end()
        assert len([output async for output in session.outputs()]) == 3
        live = await session.metrics()
    final = await session.metrics()
    for metrics in (live, final):
        assert metrics.inputs == metrics.outputs == 3
        assert metrics.items_by_kind == {"binary": 3}
        assert {n: m.items_processed for n, m in metrics.nodes.items()} == {"n0": 3, "n1": 3}
        assert metrics.nodes["n1"].cpu_time_s > 0
        assert metrics.nodes["n1"].peak_memory_bytes > 1 << 20
        assert metrics.average_latency_s > 0
        assert metrics.waiting == metrics.dropped == 0
        bridges = {b.strategy: b for b in metrics.bridges}
        assert bridges["NativeToIPC"].bytes_transferred == 6000
        assert bridges["NativeToIPC"].messages_transferred == 3
        assert bridges["NativeToIPC"].conversion_latency_us > 0
    assert metrics.nodes["n0"].pid != metrics.nodes["n1"].pid


async def test_what_can_not_be_sent_is_refused_and_the_session_goes_on():
    async with Session(chain("only_text", "EchoNode"), options()) as session:
        with pytest.raises(InputError, match=r"node 'n1' takes no inputs from outside .*n0"):
            await session.send("n1", Text("x"))
        with pytest.raises(InputError, match=r"node 'n0' accepts text, got json"):
            await session.send("n0", Json(1))
        with pytest.raises(InputError, match="got int"):
            await session.send("n0", 42)
        with pytest.raises(InputError, match="sequence must be"):
            await session.send("n0", Text("x"), sequence=-1)
        await session.send("n0", Text("fine"))
        await session.end()
        with pytest.raises(SessionClosedError, match="inputs have ended"):
            await session.send("n0", Text("late"))
        assert [o.value.text async for o in session.outputs()] == ["fine"]
    with pytest.raises(SessionClosedError, match="has ended"):
        await session.send("n0", Text("later"))


async def test_json_that_is_none_is_refused_where_it_is_sent():
    async with Session(chain("EchoNode"), options()) as session:
        with pytest.raises(InputError, match="not JSON"):
            await session.send("n0", Json(float("nan")))
        await session.end()
        assert [o async for o in session.outputs()] == []


async def test_sessions_run_side_by_side():
    manifest = chain("PassThrough", "EchoNode", "PassThrough")
    inputs = [[Text(f"{number}-{i}") for i in range(50)] for number in range(4)]
    results = await asyncio.gather(*(run(manifest, texts) for texts in inputs))
    assert [[o.value for o in outputs] for outputs in results] == inputs


async def test_a_session_can_not_be_used_before_it_started_or_started_twice():
    session = Session(chain("PassThrough"), options())
    with pytest.raises(SessionError, match="has not been started"):
        await session.send("n0", Text("x"))
    async with session:
        with pytest.raises(SessionError, match="started once"):
            await session.start()
    await session.aclose()


async def test_plans_are_estimated_by_what_earlier_sessions_measured():
    durations = Durations()
    manifest = chain("PassThrough", "EchoNode")
    first = Session(manifest, options(durations=durations))
    assert first.plan.estimated_duration_ms == 0
    async with first:
        await first.send("n0", Text("x"))
        await first.end()
        assert len([output async for output in first.outputs()]) == 1
    means = durations.means_ms()
    assert set(means) == {"PassThrough", "EchoNode"}
    assert all(mean > 0 for mean in means.values())
    durations.record("EchoNode", 4000.0, 1)
    expected = sum(durations.means_ms().values())
    second = Session(manifest, options(durations=durations))
    assert second.plan.estimated_duration_ms == pytest.approx(expected, abs=1)


async def test_another_interpreter_runs_the_nodes_processes(tmp_path):
    python = tmp_path / "other-python"
    python.write_text(f'#!/bin/sh\nMARK=other exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    manifest = chain("interpreter", "EchoNode", python_executable=str(python))
    (output,) = await run(manifest, [Text("MARK")])
    assert output.value.text == "other"
    (output,) = await run(chain("interpreter"), [Text("MARK")])
    assert output.value.text == "none"


async def test_what_a_nodes_main_script_defines_is_found_in_its_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    result = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await result.communicate()
    assert said == b"hello from another process: True\n"
    assert result.returncode == 0


SCRIPT = """
import asyncio, os
from penstock.data import Text
from penstock.nodes import Node, node
from penstock.session import Session, SessionOptions

@node("here")
class Here(Node):
    def process(self, item: Text) -> Text:
        return Text(f"{item.text} from {os.getpid()}")

async def main():
    manifest = {"version": "v1", "nodes": [{"id": "n", "node_type": "here"}], "connections": []}
    async with Session(manifest, SessionOptions(nodes=(Here,))) as session:
        await session.send("n", Text("hello"))
        await session.end()
        async for output in session.outputs():
            text, _, pid = output.value.text.rpartition(" ")
            print(text, "another process:", int(pid) != os.getpid())

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_numbers_go_up_while_one_waits_for_room():
    manifest = chain("slow", "PassThrough", connections=[], channel_capacity=2)
    async with Session(manifest, options()) as session:
        numbers = []
        while (number := session.send_nowait("n0", Text("x"))) is not None:
            numbers.append(number)
        waiting = [asyncio.create_task(session.send("n0", Text("waits"))) for _ in range(2)]
        await asyncio.sleep(0)
        numbers += [await session.send("n1", Text("y")) for _ in range(3)]
        for one in waiting:
            numbers.append(await one)
        numbers.append(await session.send("n1", Text("z")))
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        assert numbers[-1] == max(numbers)


async def test_a_node_may_be_named_by_any_kind_of_text():
    class Name(StrEnum):
        FIRST = "n0"

    async with Session(chain("PassThrough"), options()) as session:
        assert await session.send(Name.FIRST, Text("x")) == 1
