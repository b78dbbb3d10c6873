"""``penstock demo`` as a program: the whole voice pipeline, through a real service."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.wav import read_wav, write_wav
from penstock.nodes.builtin.espeak_voice import synthesise
from penstock.testing.leaks import descendants

DEMO = [sys.executable, "-m", "penstock", "demo"]
NODES = 8


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*DEMO, "--output", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_spoken_command_is_answered(tmp_path: Path) -> None:
    done = demo(tmp_path, "--no-pace")
    assert (done.returncode, done.stderr) == (0, "")
    assert "heard  turn off the kitchen light\n" in done.stdout
    assert "reply  Okay, the kitchen light is off.\n" in done.stdout
    assert read_wav(tmp_path / "reply.wav").duration_s > 1
    assert re.search(r"response  \d+\.\d{3} s from end of speech to first reply audio", done.stdout)
    for node_id in ("chunker", "vad", "asr", "reply", "tts", "speaker"):
        assert re.search(rf"{node_id}  +\d\.\d\d s  ready\n", done.stdout)
    for strategy in ("Direct", "NativeToIPC", "SharedMemory", "IPCToNative"):
        assert re.search(rf"→ \w+ +{strategy} +\d+ +[\d,]+ +\d+\.\d\d ms", done.stdout)


def test_processes_have_their_own_pids_and_native_nodes_share_the_service_s(tmp_path: Path) -> None:
    done = demo(tmp_path, "--no-pace")
    rows = re.findall(r"^(\w+) +(native|multiprocess) +(?:\S+ )+ *(\d+) +\d+", done.stdout, re.M)
    pids = {node_id: (executor, pid) for node_id, executor, pid in rows}
    own = [pid for executor, pid in pids.values() if executor == "multiprocess"]
    assert len(own) == len(set(own)) == 3
    assert len({pid for executor, pid in pids.values() if executor == "native"}) == 1


def test_the_input_is_paced_as_it_is_spoken(tmp_path: Path) -> None:
    done = demo(tmp_path, "--say", "stop the music")
    assert done.returncode == 0
    assert "heard  stop the music\n" in done.stdout
    assert "reply  Okay, the music is off.\n" in done.stdout


def test_a_recording_may_be_the_input(tmp_path: Path) -> None:
    write_wav(tmp_path / "my.wav", [synthesise("play some music", 22_050)])
    done = demo(tmp_path, "--no-pace", "--input", str(tmp_path / "my.wav"))
    assert done.returncode == 0
    assert "heard  play some music\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--input", "/no/such.wav"], 2, "error: /no/such.wav can't be read"),
        (["--say", " "], 2, "error: there is nothing to hear"),
        (["--say", "a", "--input", "b"], 2, "not allowed with argument"),
    ],
)
def test_what_can_not_be_said(
    tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    done = demo(tmp_path, *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_enough_of_it_is_no_traceback(tmp_path: Path) -> None:
    command = [*DEMO, "--output", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = 0
        while ready < NODES:
            ready += process.stdout.readline().endswith("ready\n")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_its_service_goes_with_it(tmp_path: Path, number: signal.Signals) -> None:
    command = [*DEMO, "--output", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = 0
        while ready < NODES:
            ready += process.stdout.readline().endswith("ready\n")
        pidfds = [os.pidfd_open(one.pid) for one in descendants()]
        # the demo, its service, a zygote, a supervisor, a host, three nodes; and blank hosts
        assert len(pidfds) >= 8
        process.send_signal(number)
    for pidfd in pidfds:
        select.select([pidfd], [], [])
        os.close(pidfd)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[number]
