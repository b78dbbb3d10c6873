"""``penstock demo``: a spoken dialogue through a real service in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from penstock.cli.dialogue import MANIFEST, Dialogue, converse
from penstock.cli.screen import Screen
from penstock.cli.service_process import service_process
from penstock.cli.status import FAILED
from penstock.cli.utterance import Utterance
from penstock.cli.wav import write_wav
from penstock.errors import InputError
from penstock.manifest import parse_manifest

SAYING = "turn off the kitchen light"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    spoken = parser.add_mutually_exclusive_group()
    spoken.add_argument("--say", metavar="TEXT", default=SAYING, help=f"default: {SAYING!r}")
    spoken.add_argument("--input", metavar="WAV", type=Path, help="a recording to say instead")
    parser.add_argument(
        "--no-pace", action="store_true", help="stream as fast as it goes, not as it is spoken"
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("demo-output"),
        help="where reply.wav goes (default: demo-output)",
    )


def run(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(f"{folder} can't be made: {exc.strerror or exc}") from exc
    screen = Screen()
    utterance = _utterance(arguments)
    write_wav(folder / "utterance.wav", [utterance.audio])
    dialogue = asyncio.run(_hold(screen, utterance, folder, paced=not arguments.no_pace))
    return _conclude(screen, dialogue, folder)


def _utterance(arguments: argparse.Namespace) -> Utterance:
    if arguments.input is not None:
        return Utterance.recorded(arguments.input)
    return Utterance.said(arguments.say)


async def _hold(screen: Screen, utterance: Utterance, folder: Path, *, paced: bool) -> Dialogue:
    async with service_process(folder / "service.log") as target:
        screen.say("service", f"listening on {target}")
        with screen.initialisation() as on_progress:
            return await converse(
                target, utterance, paced=paced, on_progress=on_progress, on_text=screen.say
            )


def _conclude(screen: Screen, dialogue: Dialogue, folder: Path) -> int:
    if dialogue.report is not None:
        screen.report(dialogue.report, [spec.id for spec in parse_manifest(MANIFEST).nodes])
    if dialogue.response_s is None:
        print("error: nothing was understood, so there is no reply", file=sys.stderr)
        return FAILED
    path = folder / "reply.wav"
    write_wav(path, dialogue.reply)
    seconds = sum(piece.duration_s for piece in dialogue.reply)
    screen.say("reply.wav", f"{path} ({seconds:.1f} s)")
    screen.say("response", f"{dialogue.response_s:.3f} s from end of speech to first reply audio")
    return 0
