"""The nodes that misbehave do what their names say."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.data import Text
from penstock.nodes import Catalogue, Node
from penstock.testing import run_node
from penstock.testing.faults import RaiseInFlush, RaiseInProcess, RaiseInTeardown

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
KIT = Catalogue({}).extended("penstock.testing.faults")
PROMISED = {
    *("hang_in_setup", "hang_in_process", "hold_the_gil", "segfault_in_process"),
    *("exit_in_process", "raise_in_flush", "ignore_sigterm", "fork_children"),
    *("setsid_grandchild", "leak_memory", "hoard_leases", "flood_stdout", "close_all_fds"),
    "never_read",
}
FAMILIES = {"raise", "exit", "segfault", "hang"}
MOMENTS = {"setup", "process", "flush", "teardown"}


def test_what_was_promised_is_there() -> None:
    every = {f"{family}_in_{moment}" for family in FAMILIES for moment in MOMENTS}
    assert set(KIT.names()) >= PROMISED | every


def test_the_guide_names_every_fault() -> None:
    one_by_one = [name for name in KIT.names() if name.partition("_in_")[0] not in FAMILIES]
    assert not [name for name in one_by_one if f"`{name}`" not in GUIDE]
    assert not [family for family in FAMILIES if f"`{family}_in_…`" not in GUIDE]


@pytest.mark.parametrize(
    ("fault", "inputs"), [(RaiseInProcess, 2), (RaiseInFlush, 3), (RaiseInTeardown, 3)]
)
async def test_a_fault_strikes_when_it_should(fault: type[Node], inputs: int) -> None:
    values = [Text(str(number)) for number in range(inputs)]
    params = {"on": 3}
    if fault is RaiseInProcess:
        assert await run_node(fault, values, params) == values
        values.append(Text("one more"))
    with pytest.raises(ValueError, match=r"input 3|last page|close the model"):
        await run_node(fault, values, params)


LEAK = """
import asyncio
from pathlib import Path
from penstock.data import Text
from penstock.testing import run_node
from penstock.testing.faults import LeakMemory

def kibibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1])

before = kibibytes("VmHWM")
asyncio.run(run_node(LeakMemory, [Text("a"), Text("b")], {"mebibytes": 32}))
print(kibibytes("VmHWM") - before)
"""


def test_leaked_memory_is_really_taken() -> None:
    """In a process of its own, whose peak is not that of another test."""
    taken = subprocess.run([sys.executable, "-c", LEAK], capture_output=True, check=True, text=True)
    assert int(taken.stdout) << 10 >= 60 << 20


HEART = """
import sys, threading
from penstock.nodes.context import NodeContext
from penstock.testing import faults

cls = getattr(faults, sys.argv[1])
node = cls(cls.Params(), NodeContext("n", "s", None))
node.setup()
striking = threading.Thread(target=node.process, args=("x",), daemon=True)
for line in sys.stdin:
    sys.stdout.write("beat\\n")
    sys.stdout.flush()
    striking.is_alive() or striking.start()
"""
BEATS = 100


@pytest.mark.parametrize(("fault", "beats"), [("HangInProcess", True), ("HoldTheGil", False)])
def test_holding_the_gil_stops_all_threads(fault: str, *, beats: bool) -> None:
    """The first beat comes before the fault strikes, and some may come until it does."""
    command = [sys.executable, "-c", HEART, fault]
    with subprocess.Popen(
        command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"\n" * BEATS)
            assert (_beats(process.stdout.fileno()) == BEATS) is beats
        finally:
            process.kill()


def _beats(fd: int) -> int:
    """How often the heart beats, until it has been still for long; it may start late."""
    heard = b""
    while heard.count(b"\n") < BEATS and select.select([fd], [], [], 1 if heard else 20)[0]:
        heard += os.read(fd, 4096)
    return heard.count(b"\n")
