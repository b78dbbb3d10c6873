"""Whatever a framework starts and leaves goes with its keeper."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

from bench.frameworks.keeper import kept, last_words

SHARED = Path("/dev/shm")
LEAVING = """
import mmap, os, sys
segment, mark = sys.argv[1:]
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    fd = os.open(segment, os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 4096)
    memory = mmap.mmap(fd, 4096)
    open(f"/dev/shm/sem.hdr{os.getpid()}-1", "w").close()
    print("here is the orphan", flush=True)
    with open(mark, "w") as pipe:
        pipe.write(str(os.getpid()))
    import signal
    signal.pause()
"""


def test_orphans_in_sessions_of_their_own_go_with_their_shared_memory(tmp_path: Path) -> None:
    segment = SHARED / f"penstock-bench-test-{os.getpid()}"
    mark = tmp_path / "mark"
    os.mkfifo(mark)
    command = (sys.executable, "-c", LEAVING, str(segment), str(mark))
    with kept(command, tmp_path, {}) as log:
        pid = int(mark.read_text())
        assert segment.exists()
        semaphore = SHARED / f"sem.hdr{pid}-1"
        assert semaphore.exists()
        assert last_words(log) == "here is the orphan"
        orphan = os.pidfd_open(pid)
    try:
        assert select.select([orphan], [], [], 0)[0]
    finally:
        os.close(orphan)
    assert not segment.exists()
    assert not semaphore.exists()
