"""``penstock run`` as a program: real sessions, real files, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.cli.wav import read_wav, write_wav
from penstock.data import Audio
from penstock.testing.leaks import descendants

PENSTOCK = [sys.executable, "-m", "penstock"]


@pytest.fixture
def manifest(tmp_path: Path) -> Any:
    def write(*nodes: str | tuple[str, dict[str, Any]], **connections: str) -> str:
        specs = [(node, {}) if isinstance(node, str) else node for node in nodes]
        path = tmp_path / "pipeline.json"
        document = {
            "version": "v1",
            "nodes": [
                {"id": f"n{place}", "node_type": kind, "params": params}
                for place, (kind, params) in enumerate(specs)
            ],
            "connections": [{"from": a, "to": b} for a, b in connections.items()],
        }
        path.write_text(json.dumps(document))
        return str(path)

    return write


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PENSTOCK, "run", *arguments], capture_output=True, text=True, check=False
    )


def test_outputs_are_printed(manifest: Any) -> None:
    done = run(
        manifest("PassThrough", "EchoNode", n0="n1"), "-i", "n0=text:hello", "-i", "n0=json:[1]"
    )
    assert (done.stdout, done.stderr) == ("n1 #1 text: hello\nn1 #2 json: [1]\n", "")
    assert done.returncode == 0


def test_a_pipeline_that_is_sent_nothing_is_told_how(manifest: Any) -> None:
    done = run(manifest("PassThrough", "EchoNode", n0="n1"))
    assert (done.stdout, done.returncode) == ("", 0)
    assert done.stderr == "nothing is sent; -i feeds: n0\n"


def test_connections_are_told_at_the_end(manifest: Any) -> None:
    pipeline = manifest("PassThrough", "EchoNode", n0="n1")
    done = run(pipeline, "--lanes", "-i", "n0=text:hello", "-i", "n0=text:you")
    assert done.stdout == "n1 #1 text: hello\nn1 #2 text: you\n"
    head, *lines = done.stderr.splitlines()
    assert head.split()[:4] == ["from", "to", "strategy", "sent"]
    rows = {tuple(line.split()[:5]) for line in lines}
    assert rows == {
        ("(client)", "n0", "Direct", "2", "2"),
        ("n0", "n1", "NativeToIPC", "2", "2"),
        ("n1", "(client)", "IPCToNative", "2", "2"),
    }


def test_outputs_are_lines_of_json(manifest: Any, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"12345")
    write_wav(tmp_path / "a.wav", [Audio(np.zeros((160, 2), np.float32), 8000)])
    inputs = ["text:x", 'json:{"a": 1}', str(tmp_path / "a.bin"), str(tmp_path / "a.wav")]
    done = run(manifest("PassThrough"), "--json", *(f"-in0={what}" for what in inputs))
    common = [{"node_id": "n0", "sequence": number, "part": 0} for number in range(1, 5)]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        common[0] | {"kind": "text", "text": "x"},
        common[1] | {"kind": "json", "value": {"a": 1}},
        common[2] | {"kind": "binary", "bytes": 5},
        common[3]
        | {
            "kind": "audio",
            "samples": 160,
            "channels": 2,
            "sample_rate_hz": 8000,
            "dtype": "float32",
        },
    ]


def test_files_are_gathered_by_sink(manifest: Any, tmp_path: Path) -> None:
    samples = np.arange(-4000, 4000, dtype=np.int16)
    write_wav(tmp_path / "in.wav", [Audio(samples, 16_000)])
    pipeline = manifest("PassThrough", "EchoNode", "PassThrough", "PassThrough", n0="n1")
    outputs = {"n1": "out.wav", "n2": "out.txt", "n3": "out.jsonl"}
    done = run(
        pipeline,
        *("-i", f"n0={tmp_path / 'in.wav'}"),
        *("-i", "n2=text:one", "-i", "n2=text:two", "-i", "n2=json:3", "-i", "n3=json:[1]"),
        *(f"-o{node_id}={tmp_path / name}" for node_id, name in outputs.items()),
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert read_wav(tmp_path / "out.wav") == Audio(samples, 16_000)
    assert (tmp_path / "out.txt").read_text() == "one\ntwo\n"
    assert (tmp_path / "out.jsonl").read_text() == "[1]\n"
    assert "out.txt: 2 outputs of n2 (1 outputs of other kinds left out)" in done.stderr


OWN = '''
from collections.abc import Iterator
from penstock import Json, Node, Text, node


@node("Five", executor="native")
class Five(Node):
    """Gives five numbers, and ends of itself."""

    def produce(self) -> Iterator[Json]:
        for number in range(5):
            yield Json(number)


@node("Chatty", executor="native")
class Chatty(Node):
    """Prints what it hears, and can't let go."""

    def process(self, item: Text) -> Text:
        print("chatty", item.text)
        return item

    def teardown(self) -> None:
        raise OSError("can't let go")
'''


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return f"--nodes={path}"


def test_a_producer_goes_on_to_its_own_end(manifest: Any, own: str) -> None:
    done = run(manifest("Five"), own)
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == list("01234")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_of_the_working_folder_may_have_nodes(
    manifest: Any, own: str, tmp_path: Path
) -> None:
    assert own.endswith("own.py")
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}  # as the installed command starts
    done = subprocess.run(
        [*PENSTOCK, "run", manifest("Five"), "--nodes=own"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 5


def test_stdout_is_for_outputs_and_faults_on_the_way_out_are_warnings(
    manifest: Any, own: str
) -> None:
    done = run(manifest("Chatty"), "-i", "n0=text:hello", "--json", own)
    assert done.returncode == 0
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["hello"]
    chatty, warning = done.stderr.splitlines()
    assert chatty == "chatty hello"
    assert warning.startswith("warning: node 'n0': teardown raised OSError: can't let go")


def test_a_reader_that_has_enough_ends_it_quietly(manifest: Any) -> None:
    inputs = [f"-in0=text:{number}" for number in range(50)]
    with subprocess.Popen(
        [*PENSTOCK, "run", manifest("PassThrough"), *inputs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("file", "node", "message"),
    [
        ("a.wav", "CommandReplyNode", "a .wav file takes audio, but node 'n0' gives text"),
        ("a.txt", "AudioChunkerNode", "a .txt file takes text, but node 'n0' gives audio"),
        ("a.jsonl", "AudioChunkerNode", "takes json, text, but node 'n0' gives audio"),
        ("a", "CalculatorNode", "a binary file takes audio, binary, tensor, text, video, but"),
    ],
)
def test_what_a_sink_can_never_give_is_refused(
    manifest: Any, tmp_path: Path, file: str, node: str, message: str
) -> None:
    done = run(manifest(node), f"-on0={tmp_path / file}")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / file).exists()


def test_texts_are_strings_in_json(manifest: Any, tmp_path: Path) -> None:
    for name, expected in {"a.json": '[\n  "x",\n  1\n]\n', "a.jsonl": '"x"\n1\n'}.items():
        done = run(manifest("PassThrough"), "-in0=text:x", "-in0=json:1", f"-on0={tmp_path / name}")
        assert done.returncode == 0
        assert (tmp_path / name).read_text() == expected


def test_a_failing_node_is_named_with_its_traceback(manifest: Any) -> None:
    pipeline = manifest("PassThrough", "raise_in_process", n0="n1")
    done = run(pipeline, "-i", "n0=text:x", "--nodes", "penstock.testing.faults")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "[n1] about to fail\n" in done.stderr
    assert "ValueError: can't digest input 1\nerror: node 'n1': process raised" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "n1=text:x"], "node 'n1' takes no inputs (these do: n0)"),
        (["-i", "n00=text:x"], "no node has the ID 'n00' (did you mean 'n0'?)"),
        (["-o", "N1=x.txt"], "no node has the ID 'N1' (did you mean 'n1'?)"),
        (["-o", "n0=x.txt"], "node 'n0' gives no outputs (these do: n1)"),
        (["-i", "n0=/no/such.wav"], "/no/such.wav can't be read"),
        (["-i", "n0"], "expected NODE=FILE"),
        (["-o", "n1=/no/such/folder/x.txt"], "there is no folder /no/such/folder"),
        (["-o", "n1=a.txt", "-o", "n1=b.txt"], "node 'n1' has two files"),
        (["-i", "n0=text:x"], "node 'n0' accepts audio, got text"),
        (["-i", f"n0={__file__}", "-o", f"n1={__file__}"], "test_run.py is an input"),
    ],
)
def test_wrong_input_is_status_2(manifest: Any, arguments: list[str], message: str) -> None:
    done = run(manifest("AudioChunkerNode", "EchoNode", n0="n1"), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_progress_is_told_when_asked_for(manifest: Any) -> None:
    done = run(manifest("EchoNode"), "-i", "n0=text:x", "-v")
    stages = [line.split()[-1] for line in done.stderr.splitlines() if " n0: " in line]
    assert stages == ["starting", "loading_model", "ready"]


def test_a_missing_extra_is_one_line(manifest: Any, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['espeakng_loader'] = None\n"
    )
    done = subprocess.run(
        [*PENSTOCK, "run", manifest("EspeakNode"), "-in0=text:a"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: node 'n0': ")
    assert line.endswith("EspeakNode needs espeakng-loader: pip install 'penstock[tts]'")


def test_what_no_connection_carries_is_told(manifest: Any, tmp_path: Path) -> None:
    pipeline = manifest("PassThrough", "AudioChunkerNode", n0="n1")
    inputs = ["-in0=text:a", "-in0=json:1", "-in0=text:b"]
    warning = "warning: n0 → n1: 2 text, 1 json left out, as 'n1' takes only audio of 'n0'\n"
    done = run(pipeline, *inputs)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", warning)
    done = run(pipeline, *inputs, f"-on1={tmp_path / 'a.wav'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{warning}error: {tmp_path / 'a.wav'}: there is no audio to put in it\n"


def test_what_goes_another_way_is_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "fork.yaml"
    path.write_text(
        "version: v1\n"
        "nodes:\n"
        "  - {id: in, node_type: PassThrough}\n"
        "  - {id: sound, node_type: AudioChunkerNode}\n"
        "  - {id: reply, node_type: CommandReplyNode, params: {replies: {hi: ho}}}\n"
        "connections: [{from: in, to: sound}, {from: in, to: reply}]\n"
    )
    done = run(str(path), "-iin=text:hi", "--lanes")
    assert (done.returncode, done.stdout) == (0, "reply #1 text: ho\n")
    head, *rows = [line.split() for line in done.stderr.splitlines()]
    assert head[3:7] == ["sent", "received", "dropped", "filtered"]
    assert {tuple(row[:2]): row[6] for row in rows}["in", "sound"] == "1"
    assert "warning" not in done.stderr


def test_ctrl_c_ends_it_and_leaves_nothing(manifest: Any) -> None:
    pipeline = manifest("EchoNode", "hang_in_process", n0="n1")
    command = [*PENSTOCK, "run", pipeline, "-in0=text:x", "-v", "--nodes=penstock.testing.faults"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        ready = 0
        while ready < 2:
            ready += process.stderr.readline().rstrip().endswith("ready")
        running = [one.pid for one in descendants()]
        assert len(running) >= 4  # the program, its zygote, a supervisor, two nodes
        os.kill(process.pid, signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 130
    assert not [pid for pid in running if Path(f"/proc/{pid}").exists()]
