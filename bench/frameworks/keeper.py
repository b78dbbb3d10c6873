"""Keeps a framework's processes together, and ends them with everything that they leave.

``python -m bench.frameworks.keeper`` starts the command that it is given, below it, and waits
until its standard input ends: its parent wants no more, or is gone. Then it kills whatever
descends from it, in whichever group or session that is, and unlinks the shared memory that
those processes had mapped, or that has the ID of one of them in its name.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from penstock.executors.multiprocess.kernel import become_subreaper, end_children

_ROOT = Path(__file__).parent.parent.parent
_PROC = Path("/proc")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where frameworks put their segments
_LOG_BYTES = 300
KILL_S = 5.0
"""How long the kernel may take to end everything."""


@contextmanager
def kept(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Run a command below a keeper, and give the file that all of it writes its output to."""
    log = folder / "output.txt"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder), *command],
            cwd=_ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    assert keeper.stdin is not None
    try:
        yield log
    finally:
        keeper.stdin.close()
        keeper.wait()


def last_words(log: Path) -> str:
    """The end of a framework's output, on one line."""
    return " ".join(log.read_text(errors="replace").split())[-_LOG_BYTES:]


def main(folder: str, *command: str) -> None:
    """Keep ``command`` until nobody wants it any more."""
    become_subreaper()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its input
    signal.signal(signal.SIGCHLD, _reap)
    subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    sys.stdin.read()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pids = set(_below(os.getpid()))
    segments = [path for pid in pids for path in _mapped(pid)]
    end_children((), KILL_S)
    for path in (*segments, *_named_after(pids)):
        path.unlink(missing_ok=True)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _below(pid: int) -> Iterator[int]:
    """A process's descendants."""
    for task in _listed(_PROC / str(pid) / "task"):
        with suppress(OSError):  # it has ended meanwhile
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _below(int(child))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _mapped(pid: int) -> Iterator[Path]:
    """The files in shared memory that a process has mapped."""
    with suppress(OSError):
        for line in (_PROC / str(pid) / "maps").read_text(errors="replace").splitlines():
            path = line.split(maxsplit=5)[5:]
            if path and path[0].startswith(f"{_SHARED_MEMORY}/"):
                yield Path(path[0].removesuffix(" (deleted)"))


def _named_after(pids: set[int]) -> Iterator[Path]:
    """Ray's semaphores: ``sem.hdr4711-…`` and ``sem.obj4711-…``."""
    for path in _listed(_SHARED_MEMORY):
        match = re.match(r"sem\.(?:hdr|obj)(\d+)-", path.name)
        if match and int(match[1]) in pids:
            yield path


if __name__ == "__main__":
    main(*sys.argv[1:])
