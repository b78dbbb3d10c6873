"""The examples do what they say; the voice assistant's nodes understand each other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.data import Audio, Text, Value
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.nodes.builtin.espeak_voice import Speech
from penstock.planning import check_manifest
from penstock.testing import run_node

EXAMPLES = Path(__file__).parent.parent / "examples"
CATALOGUE = Catalogue.installed()


def nodes(name: str) -> dict[str, dict[str, Any]]:
    manifest = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    return {spec["id"]: spec for spec in manifest["nodes"]}


async def through(name: str, path: Iterable[str], values: list[Value]) -> dict[str, list[Value]]:
    """What each node of a linear path gives, run one after the other."""
    given: dict[str, list[Value]] = {}
    specs = nodes(name)
    for node_id in path:
        kind = CATALOGUE.get(specs[node_id]["node_type"])
        accepted = [value for value in values if value.kind in kind.accepts]
        values = given[node_id] = await run_node(kind.cls, accepted, specs[node_id].get("params"))
    return given


SPEECHES = {
    "slow": Speech("en-us", 150),
    "usual": Speech("en-us", 175),
    "british": Speech("en", 130),
}
REPLIES = {
    "turn off the kitchen light": "Okay, the kitchen light is off.",
    "turn on the living room light": "Okay, the living room light is on.",
    "turn off the bedroom light": "Okay, the bedroom light is off.",
    "play some music": "Okay, playing some music.",
    "stop the music": "Okay, the music is off.",
}
SPEAK = """
import sys
import numpy as np
from penstock.nodes.builtin.espeak_voice import synthesise
from tests.test_examples import REPLIES, SPEECHES
spoken = {f"{how}: {said}": synthesise(said, 16_000, SPEECHES[how]).samples
          for how in SPEECHES for said in REPLIES}
np.savez(sys.argv[1], **spoken)
"""


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.int16]]:
    """Everything said, from a process of its own: what espeak has said before changes its voice."""
    file = tmp_path_factory.mktemp("spoken") / "spoken.npz"
    subprocess.run([sys.executable, "-c", SPEAK, str(file)], cwd=EXAMPLES.parent, check=True)
    with np.load(file) as saved:
        return dict(saved)


@pytest.mark.parametrize("speech", SPEECHES)
@pytest.mark.parametrize(("said", "reply"), REPLIES.items())
async def test_the_voice_assistant_understands_and_answers(
    said: str, reply: str, speech: str, spoken: dict[str, NDArray[np.int16]]
) -> None:
    silence = np.zeros((9_600, 1), np.int16)
    signal = np.concatenate([silence, spoken[f"{speech}: {said}"], silence])
    chunks: list[Value] = [Audio(signal[i : i + 320], 16_000) for i in range(0, len(signal), 320)]
    path = ["chunker", "vad", "asr", "reply", "tts", "speaker"]
    given = await through("voice_assistant.json", path, chunks)
    assert given["asr"] == [Text(said, language="en")]
    assert given["reply"] == [Text(reply, language="en")]
    sound = [value for value in given["speaker"] if isinstance(value, Audio)]
    assert sum(piece.duration_s for piece in sound) > 1


async def test_the_first_pipeline_answers() -> None:
    given = await through("first_pipeline.json", ["hear", "reply"], [Text("My name is Ada.")])
    assert given["reply"] == [Text("Hello, ada!")]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_example_is_a_sound_manifest(path: Path) -> None:
    report = check_manifest(path, CATALOGUE, Settings())
    assert (report.faults, report.warnings) == ((), ())


def test_the_gain_node_runs_by_itself() -> None:
    script = [sys.executable, str(EXAMPLES / "gain_node.py")]
    ended = subprocess.run(script, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [f"gain #{number}: peak 0.50" for number in (1, 2, 3)]


def test_a_reply_is_interrupted() -> None:
    program = str(EXAMPLES / "barge_in.py")
    serve = [sys.executable, "-m", "penstock", "serve", "--bind", "127.0.0.1:0", "--nodes", program]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout is not None
            address = service.stdout.readline().removeprefix("listening on ").strip()
            said = subprocess.check_output([sys.executable, program, address], text=True)
        finally:
            service.terminate()
    assert said == "one, 1\ninterrupted: reply\ntwo, 1\n"
